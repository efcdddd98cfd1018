// What the sizes of the literature cost, by formula.

import { formatFlops, formatRatio } from '../../dist/cli/output.js';
import { plan, presets, tokenCount } from '../../dist/plan/index.js';
import { rightAligned } from './result.js';

export function costFormula() {
  const rows = Object.values(presets).map((model) => {
    const { flops, baselineFlops, flopsRatio } = plan({ model, steps: 12 });
    const tokens = tokenCount(model);
    const size = [model.layers, model.hiddenSize, tokens].map(String);
    return [
      model.name,
      ...size,
      formatFlops(baselineFlops),
      formatFlops(flops),
      formatRatio(flopsRatio),
    ];
  });
  const header = ['model', 'layers', 'hidden size', 'tokens', 'baseline', 'paper', 'ratio'];
  return [rightAligned(header, rows)];
}
