import { explorerPlugin } from '@graphiql/plugin-explorer';
import { createGraphiQLFetcher } from '@graphiql/toolkit';
import { GraphiQL, HISTORY_PLUGIN } from 'graphiql';
import { createClient } from 'graphql-ws';
import { createRoot } from 'react-dom/client';

import 'graphiql/setup-workers/vite';
import 'graphiql/style.css';
import '@graphiql/plugin-explorer/style.css';

import { examples } from './examples.js';
import './page.css';

const url = window.location.pathname; // the graph answers where its page is, whatever root it is mounted under
const forbidden = 4403;

// What the Headers tab says goes with each question, and into the first message of the socket of a subscription.
function fetcher(question, options) {
  const sockets = createClient({
    url: window.location.origin.replace(/^http/, 'ws') + url,
    connectionParams: options?.headers,
    shouldRetry: (closed) => closed?.code !== forbidden,
    on: { connected: () => tell(false), closed: (closed) => tell(closed.code === forbidden) },
  });
  const ask = createGraphiQLFetcher({ url, fetch: asking, wsClient: sockets, enableIncrementalDelivery: false });
  return ask(question, options);
}

async function asking(address, request) {
  const response = await fetch(address, request);
  const anonymous = !Object.keys(request.headers).some((name) => /^(authorization|x-api-key)$/i.test(name));
  tell(response.status === 401 || (response.status === 403 && anonymous));
  return response;
}

/** Whether to show how to bring a token. */
function tell(wanted) {
  document.getElementById('credentials').hidden = !wanted;
}

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
