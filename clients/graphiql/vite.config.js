import { defineConfig } from 'vite';

export default defineConfig({
  build: {
    outDir: '../../graph/graphiql_assets',
    emptyOutDir: true,
    chunkSizeWarningLimit: 4096, // Monaco is one editor, and it is large
    rolldownOptions: { checks: { moduleLevelDirective: false } }, // "use client" means nothing in a bundle
  },
  experimental: {
    // The page is at <any root>/graphql without a slash at its end, its assets at <any root>/graphql/assets.
    renderBuiltUrl: (filename, { hostType }) =>
      hostType === 'html' ? `graphql/${filename}` : { relative: true },
  },
});
