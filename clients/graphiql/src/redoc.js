import * as bundle from 'redoc/bundles/redoc.standalone.js';

const Redoc = bundle.default ?? bundle;

// Its search runs in a worker made of text, which the page's policy does not let it have; there are seven paths.
Redoc.init('openapi.json', { disableSearch: true, hideDownloadButtons: true }, document.getElementById('redoc'));
