import { explorerPlugin } from '@graphiql/plugin-explorer';
import { createGraphiQLFetcher } from '@graphiql/toolkit';
import { GraphiQL, HISTORY_PLUGIN } from 'graphiql';
import { createRoot } from 'react-dom/client';

import 'graphiql/setup-workers/vite';
import 'graphiql/style.css';
import '@graphiql/plugin-explorer/style.css';

import { examples } from './examples.js';
import './page.css';

const fetcher = createGraphiQLFetcher({
  url: window.location.pathname, // the graph answers where its page is, whatever root it is mounted under
  subscriptionUrl: window.location.origin.replace(/^http/, 'ws') + window.location.pathname,
  enableIncrementalDelivery: false,
});

const headers = { accept: 'application/graphql-response+json, application/json;q=0.9' };

const plugins = [explorerPlugin({ showAttribution: false }), HISTORY_PLUGIN];

createRoot(document.getElementById('graphiql')).render(
  <GraphiQL
    fetcher={fetcher}
    plugins={plugins}
    defaultTabs={examples}
    defaultHeaders={JSON.stringify(headers, null, 2)}
    defaultEditorToolsVisibility="variables"
    inputValueDeprecation
    schemaDescription
  >
    <GraphiQL.Logo>CasareRPA monitoring graph</GraphiQL.Logo>
  </GraphiQL>,
);
