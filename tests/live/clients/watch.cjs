// Watches every job with the client of npm that is named, tells each update in a line, and ends with its input.
// Both clients send the request anew on each connection, so that a getter makes them come back with their cursor.
const [, , library, url, cursor] = process.argv;
const { createClient } = require(library);

const query = `subscription Watch($after: String) {
  jobUpdates(after: $after) { cursor jobId status gap { reason missed } job { errorMessage workflow { workflowName } } }
}`;
const soon = () => new Promise((resolve) => setTimeout(resolve, 20 + 80 * Math.random()));
const tell = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

let after = cursor;
const client = createClient({
  url,
  retryAttempts: 1000,
  retryWait: soon, // graphql-ws
  shouldRetry: () => true, // graphql-ws: a refused connection is an error and no close
  retry: soon, // graphql-sse
  on: { closed: ({ code }) => tell({ closed: code }) }, // graphql-ws
});
client.subscribe(
  { query, variables: { get after() { return after; } } },
  {
    next(body) {
      tell(body);
      after = body.data?.jobUpdates.cursor ?? after;
    },
    error: (error) => tell({ failed: Array.isArray(error) ? error : String(error) }),
    complete: () => tell({ complete: true }),
  },
);
process.stdin.resume().on('end', () => client.dispose());
