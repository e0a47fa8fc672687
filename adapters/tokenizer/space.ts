/** White space as Unicode has it, and Rust and Python with it: JavaScript's `\s` lacks U+0085 and has U+FEFF. */

const SPACE = /\p{White_Space}/u

export function trimStart(text: string): string {
  let from = 0
  while (from < text.length && SPACE.test(text.charAt(from))) from++
  return text.slice(from)
}

export function trimEnd(text: string): string {
  let end = text.length
  while (end > 0 && SPACE.test(text.charAt(end - 1))) end--
  return text.slice(0, end)
}

/** What stands between spaces. */
export const splitAtSpace = (text: string): string[] => text.split(/\p{White_Space}+/u).filter((word) => word !== '')
