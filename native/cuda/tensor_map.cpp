#include "tensor_map.h"

#include "device.h"

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

/// sizes, and rows of a box, from the innermost dimension on; strides in bytes, of all dimensions but the innermost.
CUtensorMap encoded(const void* first, int dimensions, const cuuint64_t* sizes, const cuuint64_t* strides, int box_rows,
                    ComputeType compute) {
  const auto type = compute == ComputeType::f16 ? CU_TENSOR_MAP_DATA_TYPE_FLOAT16 : CU_TENSOR_MAP_DATA_TYPE_BFLOAT16;
  const cuuint32_t box[] = {kBoxColumns, static_cast<cuuint32_t>(box_rows), 1}, steps[] = {1, 1, 1};
  CUtensorMap map;
  const CUresult result = encoder()(&map, type, dimensions, const_cast<void*>(first), sizes, strides, box, steps,
                                    CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                                    CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS) throw Error("ERR_DEVICE", "encoding a tensor map: error " + std::to_string(result));
  return map;
}

}  // namespace

CUtensorMap matrix_map(const void* matrix, int rows, int columns, int stride, int box_rows, ComputeType compute) {
  const cuuint64_t sizes[] = {static_cast<cuuint64_t>(columns), static_cast<cuuint64_t>(rows)};
  const cuuint64_t strides[] = {static_cast<cuuint64_t>(stride) * 2};
  return encoded(matrix, 2, sizes, strides, box_rows, compute);
}

CUtensorMap stack_map(const void* first, int matrices, int rows, int columns, int box_rows, ComputeType compute) {
  const cuuint64_t sizes[] = {static_cast<cuuint64_t>(columns), static_cast<cuuint64_t>(rows),
                              static_cast<cuuint64_t>(matrices)};
  const cuuint64_t row = static_cast<cuuint64_t>(columns) * 2;
  const cuuint64_t strides[] = {row, row * static_cast<cuuint64_t>(rows)};
  return encoded(first, 3, sizes, strides, box_rows, compute);
}

}  // namespace magnets::cuda
