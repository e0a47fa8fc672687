import { fileURLToPath } from 'node:url'
import { defineConfig, type ViteUserConfig } from 'vitest/config'
import manifest from './package.json' with { type: 'json' }

/** The package under its own name, as examples import it, from source instead of dist. */
const alias = Object.entries(manifest.exports).flatMap(([name, target]) =>
  typeof target === 'string'
    ? []
    : [
        {
          find: new RegExp(`^soft-prompts${name.slice(1)}$`),
          replacement: fileURLToPath(new URL(target.default.replace('./dist/', './').replace(/js$/, 'ts'), import.meta.url)),
        },
      ],
)

const config: ViteUserConfig = defineConfig({
  resolve: { alias },
  test: {
    // leak.ts fails on purpose: scan.test.ts looks that it does
    include: [process.env['SOFT_PROMPTS_LEAK'] ? 'test/secrets/leak.ts' : 'test/**/*.test.ts'],
    setupFiles: ['test/secrets/scan.ts'],
    // onnxruntime sessions and child processes are native: one process a file, no worker threads.
    pool: 'forks',
    testTimeout: 300_000,
    hookTimeout: 300_000,
  },
})

export default config
