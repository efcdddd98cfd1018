// How wgmma finds an operand in shared memory, in rows of 128 bytes that TMA swizzled, eight of them in 1024 bytes (PTX
// ISA, "Matrix Descriptor Format"). The tile begins at a multiple of 1024 bytes.
#pragma once

#include <ptx.cuh>

namespace magnets::cuda {

__device__ __forceinline__ uint64_t swizzled_operand(uint32_t address) {
  return static_cast<uint64_t>((address & 0x3ffff) >> 4) | uint64_t{1} << 16 | uint64_t{1024 >> 4} << 32 |
         uint64_t{1} << 62;
}

/// K-major, a row of the operand in a row: inputs 16 k .. 16 k + 16 are 32 bytes of each.
__device__ __forceinline__ uint64_t k_major_operand(const void* tile, int k) {
  return swizzled_operand(shared_address(tile)) + k * 2;  // addresses count 16 bytes
}

/// N-major, an input in a row, of 64 columns: inputs 16 k .. 16 k + 16 are 16 rows.
__device__ __forceinline__ uint64_t n_major_operand(const void* tile, int k) {
  return swizzled_operand(shared_address(tile) + k * 2048);
}

}  // namespace magnets::cuda
