/** Git LFS: batch, upload to a signed address, verify. Source: git-lfs/docs/api/batch.md. */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { open } from 'node:fs/promises'
import { openRepository, type Call, type Handler, type RepoAddress } from './call.ts'
import { putFile } from '../../disk/replace.ts'
import { FILE_MODE, FOLDER_MODE } from './private.ts'
import { badRequest, countOf, isObject, readObject, Refusal, sendJson, textOf } from './http.ts'
import { LFS_BATCH, LFS_OBJECT_BYTES, UPLOAD_SECONDS } from './limits.ts'
import { SHA256 } from './names.ts'
import type { Repository } from './repository.ts'

const JSON_TYPE = { 'content-type': 'application/vnd.git-lfs+json' }

const signature = (call: Call, { kind, owner, name }: RepoAddress, oid: string, size: number, until: number): string =>
  createHmac('sha256', call.state.secret).update([kind, owner, name, oid, size, until].join(' ')).digest('hex')

async function answer(call: Call, repository: Repository, address: RepoAddress, object: unknown): Promise<object> {
  if (!isObject(object)) throw badRequest('Each of "objects" must be { oid, size }.')
  const oid = textOf(object, 'oid')
  const size = countOf(object, 'size')
  if (!SHA256.test(oid) || size > LFS_OBJECT_BYTES) {
    return { oid, size: 0, error: { code: 422, message: `"oid" must be a sha256 and "size" at most ${LFS_OBJECT_BYTES} bytes.` } }
  }
  if ((await repository.lfsSize(oid)) === size) return { oid, size }
  const { kind, owner, name } = address
  const until = Math.floor(call.state.now().getTime() / 1000) + UPLOAD_SECONDS
  const query = new URLSearchParams({ size: String(size), until: String(until), signature: signature(call, address, oid, size, until) })
  const verify = `${call.origin}/${kind === 'models' ? '' : 'datasets/'}${owner}/${name}.git/info/lfs/objects/verify`
  return {
    oid,
    size,
    actions: {
      upload: { href: `${call.origin}/lfs/${kind}/${owner}/${name}/${oid}?${query}`, header: {} },
      verify: { href: verify, header: {} },
    },
  }
}

export const lfsBatch: Handler = async (call, address) => {
  const body = await readObject(call.request)
  const repository = await openRepository(call, address, body['operation'] === 'download' ? 'read' : 'write')
  const objects: unknown = body['objects']
  if (body['operation'] !== 'upload') throw badRequest('Only uploads go by LFS here; download from /resolve/.')
  if (!Array.isArray(objects) || objects.length > LFS_BATCH) throw badRequest(`"objects" must be a list of at most ${LFS_BATCH}.`)
  const answers = await Promise.all(objects.map((object) => answer(call, repository, address, object)))
  sendJson(call.response, { transfer: 'basic', objects: answers }, JSON_TYPE)
}

/** Streams the body to a file beside its place while hashing; it is renamed only when hash and size are right. */
async function receive(call: Call, path: string, oid: string, size: number): Promise<void> {
  const hash = createHash('sha256')
  let got = 0
  const make = async (beside: string): Promise<void> => {
    const file = await open(beside, 'wx', FILE_MODE)
    try {
      for await (const part of call.request as AsyncIterable<Buffer>) {
        got += part.length
        if (got > size) break
        hash.update(part)
        await file.appendFile(part) // unlike write, this never stops half-way without a word
      }
      await file.sync()
    } finally {
      await file.close()
    }
    if (got !== size || hash.digest('hex') !== oid)
      throw badRequest(`The object has ${got} bytes of ${size}, or another sha256 than ${oid}.`)
  }
  await putFile(path, make, undefined, FOLDER_MODE)
}

/** `PUT /lfs/KIND/OWNER/NAME/OID`, without a token: the signature is the permission. */
export const lfsPut: Handler = async (call, address) => {
  const oid = call.rest[0] ?? ''
  const size = Number(call.query.get('size'))
  const until = Number(call.query.get('until'))
  const expected = Buffer.from(signature(call, address, oid, size, until))
  const given = Buffer.from(call.query.get('signature') ?? '')
  const repository = await call.state.repositories.find(address.kind, address.owner, address.name)
  if (repository === undefined || !SHA256.test(oid) || given.length !== expected.length || !timingSafeEqual(given, expected)) {
    throw new Refusal(403, undefined, 'The upload address is not valid; ask for a new one.')
  }
  if (until * 1000 < call.state.now().getTime()) throw new Refusal(403, undefined, 'The upload address has expired; ask for a new one.')
  await receive(call, repository.lfsPath(oid), oid, size)
  call.response.writeHead(200, { etag: `"${oid}"`, 'content-length': 0 }).end()
}

export const lfsVerify: Handler = async (call, address) => {
  const repository = await openRepository(call, address, 'write')
  const body = await readObject(call.request)
  const oid = textOf(body, 'oid')
  const asked = countOf(body, 'size')
  const size = SHA256.test(oid) ? await repository.lfsSize(oid) : undefined
  if (size === undefined || size !== asked) throw new Refusal(404, undefined, `No LFS object ${oid} of that size.`)
  sendJson(call.response, {}, JSON_TYPE)
}
