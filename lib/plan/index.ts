/** magnets/plan: what a generation costs, by formula. It needs neither Node nor the native module, so a browser can take it. */

export { type FlopsByPart, modulationFlops, stepFlops, totalFlops } from './flops.js';
export { type MaskingSchedule, maskCounts, maskingSchedules } from './masking.js';
export { type BatchPlan, type PlanOptions, plan, type StepPlan } from './plan.js';
export { presets } from './presets.js';
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
