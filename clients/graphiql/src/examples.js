// The operations a first visit finds in its tabs: every examples/*.graphql, in the order of their names, with the
// variables of the .json beside it.
const documents = import.meta.glob('../examples/*.graphql', { query: '?raw', import: 'default', eager: true });
const variables = import.meta.glob('../examples/*.json', { import: 'default', eager: true });

const week = 7 * 24 * 60 * 60 * 1000;

function variablesOf(path) {
  const given = variables[path.replace(/\.graphql$/, '.json')];
  if (!given) return null;
  // A date in a file grows old: `since` always means a week before the visit.
  const fresh = 'since' in given ? { ...given, since: new Date(Date.now() - week).toISOString() } : given;
  return JSON.stringify(fresh, null, 2);
}

export const examples = Object.keys(documents)
  .sort()
  .map((path) => ({ query: documents[path], variables: variablesOf(path) }));
