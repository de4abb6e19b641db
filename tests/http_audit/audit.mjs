// Runs every audit of GraphQL over HTTP against a server, and fails where any of them is not ok.
//   node audit.mjs http://127.0.0.1:8000/graphql
import { createRequire } from 'node:module';

const installed = createRequire(new URL('../../clients/graphiql/package.json', import.meta.url));
const { serverAudits } = installed('graphql-http');

const url = process.argv[2];
if (!url) {
  console.error('usage: node audit.mjs URL');
  process.exit(2);
}

const patiently = (input, init) => fetch(input, { ...init, signal: AbortSignal.timeout(20_000) });

async function answerOf(response) {
  if (!response) return '';
  const body = response.bodyUsed ? '(body already read)' : (await response.text()).slice(0, 300);
  return `\n       got ${response.status} ${response.headers.get('content-type') ?? 'without a content-type'}: ${body}`;
}

const counts = {};
for (const audit of serverAudits({ url, fetchFn: patiently })) {
  let status, note;
  try {
    const result = await audit.fn();
    status = result.status;
    note = status === 'ok' ? '' : `\n       ${result.reason}${await answerOf(result.response)}`;
  } catch (error) {
    status = 'fatal'; // not an opinion on the answer: there was none
    note = `\n       ${error}${error.cause ? ` (${error.cause})` : ''}`;
  }
  counts[status] = (counts[status] ?? 0) + 1;
  console.log(`${status.padEnd(6)} ${audit.id} ${audit.name}${note}`);
}

const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
const tally = Object.entries(counts).map(([status, count]) => `${count} ${status}`);
console.log(`${total} audits: ${tally.join(', ')}`);
process.exitCode = total > 0 && counts.ok === total ? 0 : 1;
