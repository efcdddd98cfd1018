/** magnets: masked generative transformers with nested widths. */

export type { GeneratorConfig, SamplingDefaults, TokenizerConfig } from './checkpoint/config.js';
export { type ErrorCode, MagnetsError } from './errors.js';
export { type AnimationFormat, type AnimationOptions, animation } from './media/animation.js';
export { type DecodePngOptions, decodePng } from './media/decode.js';
export { contactSheet, encodePng } from './media/png.js';
export type { SheetOptions } from './media/sheet.js';
export { stepStrip } from './media/strip.js';
export { type FlopsByPart, stepFlops, totalFlops } from './plan/flops.js';
export {
  type DecodePlan,
  type MaskingSchedule,
  maskCounts,
  maskingSchedules,
  type PlanOptions,
  type PlanRow,
  plan,
} from './plan/plan.js';
export { presets } from './plan/presets.js';
export {
  findWidth,
  formatSchedule,
  type Phase,
  parseSchedule,
  type ScheduleInput,
} from './plan/schedule.js';
export type { ModelShape, Width } from './plan/shape.js';
export type {
  GenerateOptions,
  Generation,
  GenerationResult,
  GenerationStep,
  Label,
} from './runtime/generation.js';
export {
  type CudaDevice,
  type Device,
  type Info,
  info,
  type LoadOptions,
  type LoadProgress,
  load,
  type Model,
} from './runtime/model.js';
export type { Prediction, PredictionResult, PredictOptions } from './runtime/prediction.js';
export { Tensor, type TensorData, type TensorType } from './tensor.js';
