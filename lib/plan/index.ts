/** magnets/plan: what a generation costs, by formula. It needs neither Node nor the native module, so a browser can take it. */

export { type FlopsByPart, modulationFlops, stepFlops, totalFlops } from './flops.js';
export { haltonOrder } from './halton.js';
export {
  type MaskingSchedule,
  type MaskRounding,
  maskCounts,
  maskingSchedules,
} from './masking.js';
export { type BatchPlan, type PlanOptions, plan, type StepPlan } from './plan.js';
export { presets } from './presets.js';
export {
  type Confidence,
  type GuidanceOptions,
  type GuidanceSchedule,
  guidanceSchedules,
  type Order,
  type Range,
  type Recipe,
  type Refresh,
  type SamplingOptions,
} from './recipe.js';
export {
  findWidth,
  formatSchedule,
  type Phase,
  parseSchedule,
  type ScheduleInput,
  scheduleSteps,
} from './schedule.js';
export {
  fullWidth,
  type Head,
  type MlpGate,
  type ModelShape,
  type Modulation,
  sequenceLength,
  tokenCount,
  type Width,
} from './shape.js';
export { classId, maskId, type Vocabulary, vocabularySize } from './vocabulary.js';
