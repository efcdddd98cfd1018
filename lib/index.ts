/** magnets: masked generative transformers with nested widths. */

export type { GeneratorConfig, NormPlace, TokenizerConfig } from './checkpoint/config.js';
export type { Activation } from './checkpoint/transformer-config.js';
export { type ErrorCode, MagnetsError } from './errors.js';
export { type AnimationFormat, type AnimationOptions, animation } from './media/animation.js';
export { type DecodePngOptions, decodePng } from './media/decode.js';
export { contactSheet, encodePng } from './media/png.js';
export type { SheetOptions } from './media/sheet.js';
export { stepStrip } from './media/strip.js';
export * from './plan/index.js';
export type { BatchingOptions } from './runtime/batching.js';
export {
  type ConvertedPart,
  type ConvertOptions,
  type ConvertProgress,
  convert,
} from './runtime/convert.js';
export {
  type ComputeType,
  type CudaDevice,
  type Device,
  type DeviceOptions,
  type Format,
  type Info,
  info,
} from './runtime/device.js';
export type { Generation, ResultOptions } from './runtime/generation.js';
export type { Label } from './runtime/ids.js';
export { type LoadOptions, type LoadProgress, load } from './runtime/load.js';
export type { MemoryNeeds } from './runtime/memory.js';
export type { Metrics } from './runtime/metrics.js';
export type { ForwardOptions, Model } from './runtime/model.js';
export type { Prediction, PredictionResult, PredictOptions } from './runtime/prediction.js';
export type { DecodeOptions, GenerateOptions } from './runtime/request.js';
export type { GenerationResult, GenerationStep } from './runtime/result.js';
export type { Pixels } from './runtime/tokenizer.js';
export { Tensor, type TensorData, type TensorType } from './tensor.js';
