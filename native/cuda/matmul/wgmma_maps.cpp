// TMA's descriptions of matrices.
#include "../device.h"
#include "wgmma.h"

namespace magnets::cuda {

namespace {

using Encode = CUresult (*)(CUtensorMap*, CUtensorMapDataType, cuuint32_t, void*, const cuuint64_t*, const cuuint64_t*,
                            const cuuint32_t*, const cuuint32_t*, CUtensorMapInterleave, CUtensorMapSwizzle,
                            CUtensorMapL2promotion, CUtensorMapFloatOOBfill);

/// The driver's function, found through the runtime: nothing links to the driver.
Encode encoder() {
  static const Encode encode = [] {
    void* function = nullptr;
    cudaDriverEntryPointQueryResult result;
    check(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000, cudaEnableDefault, &result),
          "looking for cuTensorMapEncodeTiled");
    if (result != cudaDriverEntryPointSuccess) throw Error("ERR_DEVICE", "the driver has no cuTensorMapEncodeTiled");
    return reinterpret_cast<Encode>(function);
  }();
  return encode;
}

CUtensorMap map_of(const void* matrix, int rows, int columns, int stride, int box_rows, ComputeType compute) {
  const auto type = compute == ComputeType::f16 ? CU_TENSOR_MAP_DATA_TYPE_FLOAT16 : CU_TENSOR_MAP_DATA_TYPE_BFLOAT16;
  const cuuint64_t sizes[] = {static_cast<cuuint64_t>(columns), static_cast<cuuint64_t>(rows)};
  const cuuint64_t strides[] = {static_cast<cuuint64_t>(stride) * 2};
  const cuuint32_t box[] = {kWgmmaStep, static_cast<cuuint32_t>(box_rows)}, steps[] = {1, 1};
  CUtensorMap map;
  const CUresult result =
      encoder()(&map, type, 2, const_cast<void*>(matrix), sizes, strides, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE,
                CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS) throw Error("ERR_DEVICE", "encoding a tensor map: error " + std::to_string(result));
  return map;
}

}  // namespace

WgmmaMaps wgmma_maps(const WgmmaKernel& kernel, const MatmulProblem& m, int weight_rows, ComputeType compute) {
  WgmmaMaps maps;
  // Beyond its last input x is zeros, so it does not matter that the weights of the next tap are there.
  maps.x = map_of(m.x, m.x_rows, m.in, m.x_stride, kWgmmaRows, compute);
  for (int i = 0; i < m.products; ++i) {
    maps.weight[i] = map_of(m.product[i].weight, weight_rows, m.taps * m.in, m.weight_stride, kernel.columns, compute);
  }
  return maps;
}

}  // namespace magnets::cuda
