/** HTML pages without scripts: what the preview of a card and the pages of the local hub have in common. */

/** As text or as an attribute's value in double quotes. */
export const html = (value: string): string =>
  value
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;')
    .replace(/[\u202a-\u202e\u2066-\u2069]/g, '')

/** The one style sheet; pages allow it by its hash. */
export const STYLE: string = `
:root{color-scheme:light dark;--text:#1f2328;--soft:#59636e;--line:#d1d9e0;--page:#fff;--box:#f6f8fa;--link:#0969da;--tag:#ddf4ff}
@media(prefers-color-scheme:dark){:root{--text:#e6edf3;--soft:#9198a1;--line:#3d444d;--page:#0d1117;--box:#151b23;--link:#4493f8;--tag:#12243d}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--text);font:16px/1.55 system-ui,-apple-system,"Segoe UI",sans-serif;overflow-wrap:anywhere}
header,main,footer{max-width:62rem;margin:0 auto;padding:1rem}
header{border-bottom:1px solid var(--line)}footer{color:var(--soft);font-size:.85rem}
a{color:var(--link);text-decoration:none}a:hover{text-decoration:underline}
h1{font-size:1.7rem;line-height:1.25;margin:.6rem 0}h2{font-size:1.25rem;border-bottom:1px solid var(--line);padding-bottom:.25rem;margin-top:2rem}
code,pre{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:.85em}
code{background:var(--box);border-radius:.3em;padding:.1em .3em}pre{background:var(--box);border:1px solid var(--line);border-radius:.4rem;padding:.8rem;overflow-x:auto}
pre code{background:none;padding:0;overflow-wrap:normal}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:.92rem}th,td{border:1px solid var(--line);padding:.3rem .6rem;text-align:left;vertical-align:top}th{background:var(--box)}thead:not(:has(th:not(:empty))){display:none}
th,td{overflow-wrap:break-word;max-width:28rem}main table:has(th:nth-child(4)){min-width:36rem}img{max-width:100%;height:auto}
.tags{display:flex;flex-wrap:wrap;gap:.4rem;margin:.5rem 0;padding:0;list-style:none;font-size:.85rem}.tags li{background:var(--tag);border-radius:1rem;padding:.05rem .7rem}
.soft,.nopicture{color:var(--soft)}.list{list-style:none;padding:0}.list p{margin:.3rem 0}.list li{border:1px solid var(--line);border-radius:.5rem;padding:.6rem .9rem;margin:.6rem 0}.list .tags li{border:0;margin:0;padding:.05rem .7rem}
form{display:flex;flex-wrap:wrap;gap:.5rem;align-items:end;margin:1rem 0}label{display:flex;flex-direction:column;font-size:.85rem;color:var(--soft)}
input,select,button{font:inherit;color:var(--text);background:var(--box);border:1px solid var(--line);border-radius:.4rem;padding:.3rem .6rem;max-width:100%}
details{border:1px solid var(--line);border-radius:.4rem;padding:.3rem .9rem;margin:.6rem 0}summary{cursor:pointer}
nav{display:flex;gap:1rem;flex-wrap:wrap}td.number,th.number{text-align:right;white-space:nowrap}
`

export interface Page {
  readonly title: string
  /** HTML, escaped already. */
  readonly body: string
  /** Content-Security-Policy for a page without a server; a server sends it as a header. */
  readonly policy?: string
}

/** A whole page. */
export function formatPage({ title, body, policy }: Page): string {
  const meta = policy === undefined ? '' : `<meta http-equiv="content-security-policy" content="${html(policy)}">\n`
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
${meta}<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>${html(title)}</title>
<style>${STYLE}</style>
</head>
<body>
${body}
</body>
</html>
`
}

const list = (value: unknown): string[] => (Array.isArray(value) ? value : [value]).filter((item) => typeof item === 'string')

/** Fields of a card's front matter that the Hub shows above it, as a list. */
export function cardTags(data: Readonly<Record<string, unknown>>): string {
  const shown = [
    ...list(data['pipeline_tag']),
    ...list(data['library_name']),
    ...list(data['tags']),
    ...list(data['language']),
    ...list(data['base_model']).map((id) => `base: ${id}`),
    ...list(data['datasets']).map((id) => `data: ${id}`),
    ...list(data['license']).map((id) => `license: ${id}`),
  ]
  return shown.length === 0
    ? ''
    : `<ul class="tags">${[...new Set(shown)]
        .slice(0, 60)
        .map((tag) => `<li>${html(tag.slice(0, 100))}</li>`)
        .join('')}</ul>`
}
