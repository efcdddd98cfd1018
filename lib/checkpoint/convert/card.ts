/** README.md of a converted checkpoint: where its weights come from, and what was done to them. */

import type { Part } from './convert.js';

/** What of a number of values is said: 142.2 million. */
function millions(values: number): string {
  return `${(values / 1e6).toPrecision(4)} million`;
}

function section({ origin, files, tensors, values, notes, dropped }: Part): string {
  const sources = files.map(({ name, sha256 }) => `- \`${name}\`, SHA-256 \`${sha256}\``);
  const lines = [
    `- Source: ${origin.url}`,
    `- Licence of the source: ${origin.licence}`,
    ...sources,
    `- ${tensors} tensors with ${millions(values)} values`,
    ...notes.map((note) => `- ${note}`),
    ...dropped.map((what) => `- Left out: ${what}`),
  ];
  return lines.join('\n');
}

export function modelCard(parts: readonly Part[], weights: string, version: string): string {
  const [first] = parts;
  const bodies = parts.map((part) => `## ${part.origin.name}\n\n${section(part)}\n`);
  return `# ${first!.origin.name}, converted

\`magnets convert\` (magnets ${version}) wrote this folder. The weights are ${weights}. They are their authors' work and
stay under their licence; magnets changed their form alone.

${bodies.join('\n')}`;
}
