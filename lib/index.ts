/** magnets: masked generative transformers with nested widths. */

export type { GeneratorConfig, SamplingDefaults, TokenizerConfig } from './config.js';
export { type ErrorCode, MagnetsError } from './errors.js';
export { type FlopsByPart, stepFlops, totalFlops } from './flops.js';
export type {
  GenerateOptions,
  Generation,
  GenerationResult,
  GenerationStep,
  Label,
} from './generation.js';
export {
  type AnimationFormat,
  type AnimationOptions,
  animation,
  contactSheet,
  type SheetOptions,
  stepStrip,
} from './image.js';
export {
  type CudaDevice,
  type Device,
  type Info,
  info,
  type LoadOptions,
  type LoadProgress,
  load,
  type Model,
} from './model.js';
export {
  type DecodePlan,
  type MaskingSchedule,
  maskCounts,
  maskingSchedules,
  type PlanOptions,
  type PlanRow,
  plan,
} from './plan.js';
export type { Prediction, PredictionResult, PredictOptions } from './prediction.js';
export { presets } from './presets.js';
export {
  findWidth,
  formatSchedule,
  type Phase,
  parseSchedule,
  type ScheduleInput,
} from './schedule.js';
export type { ModelShape, Width } from './shape.js';
export { Tensor, type TensorData, type TensorType } from './tensor.js';
