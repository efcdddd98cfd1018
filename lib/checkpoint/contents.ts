/** What lies where a checkpoint's file is expected, seen from its first bytes. */

type Kinds = readonly (readonly [starts: RegExp | string, what: string])[];

const kinds: Kinds = [
  [
    'version https://git-lfs',
    'a pointer of Git LFS instead of the file: run git lfs pull where it was cloned',
  ],
  [
    /^(\xef\xbb\xbf)?\s*<(!doctype|!--|html|head|body|\?xml)/i,
    'a page of HTML or XML: the download gave an answer instead of the file',
  ],
  [/^(\xff\xfe|\xfe\xff)/, 'text in UTF-16: save it in UTF-8'],
];

const weights: Kinds = [
  ['PK\x03\x04', 'a zip archive, such as torch.save writes: npx magnets convert takes it'],
  ['\x80\x02', 'a pickle, such as torch.save wrote it before version 1.6'],
  ['\x80\x03', 'a pickle'],
  ['\x80\x04', 'a pickle'],
  ['\x80\x05', 'a pickle'],
  ['\x1f\x8b', 'compressed by gzip: unpack it'],
  [/^\s*[{[]/, 'JSON'],
];

function find(list: Kinds, start: Uint8Array): string | undefined {
  const text = Buffer.from(start.subarray(0, 512)).toString('latin1');
  const begins = (starts: RegExp | string) =>
    typeof starts === 'string' ? text.startsWith(starts) : starts.test(text);
  return list.find(([starts]) => begins(starts))?.[1];
}

/** What is often downloaded in place of any file; undefined for all else. */
export function strangeContents(start: Uint8Array): string | undefined {
  return find(kinds, start);
}

/** The same, and files of weights in another form, where safetensors are expected. */
export function contentsInPlaceOfSafetensors(start: Uint8Array): string | undefined {
  return find([...kinds, ...weights], start);
}
