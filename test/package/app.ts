/** An app that has installed the package as npm packs it. */
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import manifest from '../../package.json' with { type: 'json' }
import { root } from '../program.ts'

/** Runs a program to its end; what it printed. */
export function run(command: string, args: readonly string[], cwd: string): string {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, encoding: 'utf8' })
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}:\n${stdout}${stderr}`)
  return stdout
}

/** Packs the package and unpacks it into `node_modules` of a new folder, with its dependencies, peers and commands beside it. @returns the folder */
export function packApp(): string {
  const cache = join(root, 'node_modules', '.cache')
  mkdirSync(cache, { recursive: true })
  const app = mkdtempSync(join(cache, 'soft-prompts-app-'))
  const stage = join(app, 'stage')
  for (const path of ['package.json', 'README.md', 'CHANGELOG.md', 'LICENSE', 'src', 'adapters', 'scripts', 'hub-cards'])
    cpSync(join(root, path), join(stage, path), { recursive: true })
  // Types are `npm run types`' concern: what was emitted is packed.
  const compiler = join(root, 'node_modules/typescript/bin/tsc')
  spawnSync(process.execPath, [compiler, '-p', 'tsconfig.build.json', '--outDir', join(stage, 'dist')], { cwd: root })
  run('npm', ['pack', '--ignore-scripts', '--offline', '--pack-destination', app], stage)
  const modules = join(app, 'node_modules')
  const own = join(modules, manifest.name)
  mkdirSync(own, { recursive: true })
  const tarball = readdirSync(app).find((name) => name.endsWith('.tgz')) as string
  run('tar', ['-xzf', tarball, '-C', own, '--strip-components=1'], app)
  rmSync(stage, { recursive: true })
  writeFileSync(join(app, 'package.json'), '{}')
  // What npm would have installed beside it, and the peers that an app has; types for the compiler.
  for (const name of [...Object.keys(manifest.dependencies), '@huggingface/transformers', 'onnxruntime-node', '@types/node']) {
    mkdirSync(join(modules, name, '..'), { recursive: true })
    symlinkSync(join(root, 'node_modules', name), join(modules, name))
  }
  mkdirSync(join(modules, '.bin'))
  for (const [name, path] of Object.entries(manifest.bin)) symlinkSync(join('..', manifest.name, path), join(modules, '.bin', name))
  return app
}
