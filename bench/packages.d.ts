/** What the benchmarks use of the packages of bench/package.json, so that they can be checked where none is installed. */

declare module 'onnxruntime-node' {
  export const env: { readonly versions: { readonly common: string; readonly node?: string } };

  export class Tensor {
    constructor(type: 'int64', data: BigInt64Array, dims: readonly number[]);
    readonly data: ArrayBufferView;
    readonly dims: readonly number[];
  }

  export class InferenceSession {
    static create(
      file: string,
      options: {
        readonly intraOpNumThreads: number;
        readonly interOpNumThreads: number;
        readonly graphOptimizationLevel: 'all';
      },
    ): Promise<InferenceSession>;
    run(inputs: Readonly<Record<string, Tensor>>): Promise<Record<string, Tensor>>;
    release(): Promise<void>;
  }
}

declare module 'vega' {
  /** A chart, as JSON. */
  export type Spec = object;

  export function parse(spec: Spec): unknown;

  export class View {
    constructor(dataflow: unknown, options: { readonly renderer: 'none' });
    toSVG(): Promise<string>;
  }
}
