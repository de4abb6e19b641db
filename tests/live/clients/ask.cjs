// Asks each line of its input over one socket of graphql-ws, and tells each answer, or what is wrong, in a line.
const { createClient } = require('graphql-ws');
const { createInterface } = require('node:readline');

const [, , url] = process.argv;
const client = createClient({ url, lazy: false, retryAttempts: 0, onNonLazyError: (error) => { throw error; } });

async function ask(request) {
  try {
    for await (const body of client.iterate(request)) return body;
    return { complete: true };
  } catch (error) {
    return { refused: error };
  }
}

(async () => {
  for await (const line of createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify(await ask(JSON.parse(line)))}\n`);
  }
  client.dispose();
})();
