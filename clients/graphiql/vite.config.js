import { defineConfig } from 'vite';

// Redoc's footer shows an image from its maker's servers; nothing here is loaded from elsewhere.
const redocAlone = {
  name: 'redoc-alone',
  resolveId: (id) => (id === 'null' ? '\0nothing' : null), // what it calls a module that it does without
  load: (id) => (id === '\0nothing' ? 'export default undefined;' : null),
  transform(code, id) {
    if (!id.includes('redoc.standalone')) return null;
    const foreign = /https:\/\/[\w.-]+\/redoc\/logo-mini\.svg/;
    if (!foreign.test(code)) this.error('Redoc has another image now: see what it loads.');
    return { code: code.replace(foreign, 'data:,'), map: null };
  },
};

export default defineConfig({
  plugins: [redocAlone],
  build: {
    outDir: '../../graph/pages/graphiql_assets',
    emptyOutDir: true,
    chunkSizeWarningLimit: 4096, // Monaco is one editor, and it is large
    rolldownOptions: {
      input: ['index.html', 'docs.html', 'redoc.html'],
      checks: { moduleLevelDirective: false }, // "use client" means nothing in a bundle
    },
  },
  experimental: {
    // The page is at <any root>/graphql without a slash at its end, its assets at <any root>/graphql/assets.
    renderBuiltUrl: (filename, { hostType }) =>
      hostType === 'html' ? `graphql/${filename}` : { relative: true },
  },
});
