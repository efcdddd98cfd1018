// Inline PTX, and nothing else: one thin function an instruction. Kernels include this file as <ptx.cuh>; where they
// are built for the emulator (test/cuda/emulation), a file of the same name and the same functions is found instead.
//
// Shapes of fragments: PTX ISA, "Matrix Fragments for mma.m16n8k16" and "Register Fragments for wgmma.mma_async".
#pragma once

#include <cuda.h>
#include <cuda_runtime.h>

#include <cstdint>

namespace magnets::cuda {

struct bf16 {
  uint16_t bits;
};
struct f16 {
  uint16_t bits;
};

// ---- two 16-bit numbers in a register

template <class T>
__device__ __forceinline__ float low(uint32_t pair);
template <class T>
__device__ __forceinline__ float high(uint32_t pair);
template <class T>
__device__ __forceinline__ uint32_t pack(float low, float high);  // to nearest even

template <>
__device__ __forceinline__ float low<bf16>(uint32_t pair) {
  return __uint_as_float(pair << 16);
}
template <>
__device__ __forceinline__ float high<bf16>(uint32_t pair) {
  return __uint_as_float(pair & 0xffff0000u);
}
template <>
__device__ __forceinline__ uint32_t pack<bf16>(float low, float high) {
  uint32_t pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
}
template <>
__device__ __forceinline__ float low<f16>(uint32_t pair) {
  float value;
  asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(static_cast<uint16_t>(pair)));
  return value;
}
template <>
__device__ __forceinline__ float high<f16>(uint32_t pair) {
  return low<f16>(pair >> 16);
}
template <>
__device__ __forceinline__ uint32_t pack<f16>(float low, float high) {
  uint32_t pair;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
}

/// 2^x, relative error 2^-22.
__device__ __forceinline__ float exp2_approximate(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

/// 1 / x, relative error 2^-23; 0 of infinity.
__device__ __forceinline__ float reciprocal_approximate(float x) {
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

/// tanh x, relative error 2^-11; from sm_75 on one instruction.
__device__ __forceinline__ float tanh_approximate(float x) {
  float y;
  asm("tanh.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// ---- a block's shared memory

template <class T>
__device__ __forceinline__ T& shared_as() {
  extern __shared__ __align__(1024) unsigned char shared[];
  return *reinterpret_cast<T*>(shared);
}
__device__ __forceinline__ uint32_t shared_address(const void* pointer) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

/// A barrier of some of the block's threads.
__device__ __forceinline__ void barrier_sync(int id, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

// ---- between grids

/// Everything that earlier grids of the stream wrote is visible after it (programmatic dependent launch).
__device__ __forceinline__ void wait_for_previous_grid() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
/// The next grid may come onto the device, as far as its own wait.
__device__ __forceinline__ void let_next_grid_start() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

__device__ __forceinline__ unsigned atomic_add_acquire_release(unsigned* at, unsigned value) {
  unsigned before;
  asm volatile("atom.acq_rel.gpu.global.add.u32 %0, [%1], %2;" : "=r"(before) : "l"(at), "r"(value) : "memory");
  return before;
}

// ---- sm_80: cp.async, ldmatrix, mma

/// 16 bytes to shared memory, of which the first `bytes` come from global memory and the others are zeros.
__device__ __forceinline__ void copy_async(void* target, const void* source, int bytes) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(target)), "l"(source), "r"(bytes)
               : "memory");
}
__device__ __forceinline__ void copy_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
/// Until at most kGroups of this thread's groups are under way.
template <int kGroups>
__device__ __forceinline__ void copy_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kGroups) : "memory");
}

/// Four 8 x 8 matrices; lane i gives the address of row i % 8 of matrix i / 8.
__device__ __forceinline__ void load_matrices(uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}
__device__ __forceinline__ void load_matrices_transposed(uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}

/// d [16, 8] += a [16, 16] b [16, 8]
template <class T>
__device__ __forceinline__ void mma(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1);
template <>
__device__ __forceinline__ void mma<bf16>(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
template <>
__device__ __forceinline__ void mma<f16>(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// ---- sm_90a: mbarrier, TMA, wgmma

__device__ __forceinline__ void mbarrier_init(uint64_t* barrier, int count) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(count) : "memory");
}
/// Makes inits visible to TMA.
__device__ __forceinline__ void mbarrier_init_fence() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}
__device__ __forceinline__ void mbarrier_arrive(uint64_t* barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier)) : "memory");
}
/// Arrives, and lets the phase wait for `bytes` of TMA besides.
__device__ __forceinline__ void mbarrier_arrive_expecting(uint64_t* barrier, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)), "r"(bytes)
               : "memory");
}
/// Until the phase of this parity is complete.
__device__ __forceinline__ void mbarrier_wait(uint64_t* barrier, int parity) {
  asm volatile(
      "{\n.reg .pred p;\n"
      "again: mbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1;\n"
      "@p bra done;\nbra again;\ndone:\n}" ::"r"(shared_address(barrier)),
      "r"(parity)
      : "memory");
}

// Of a cluster. What another block has in its shared memory is reached by the address of the same thing in one's own
// and the block's rank.

/// All threads of all its blocks meet; what they wrote to shared memory is visible to all afterwards.
__device__ __forceinline__ void cluster_barrier() {
  asm volatile("barrier.cluster.arrive.release;\nbarrier.cluster.wait.acquire;" ::: "memory");
}
__device__ __forceinline__ uint32_t address_in_cluster(const void* own, int rank) {
  uint32_t address;
  asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(address) : "r"(shared_address(own)), "r"(rank));
  return address;
}
/// What the thread wrote, and what it knows others wrote, is visible to who waits by mbarrier_wait_for_cluster.
__device__ __forceinline__ void mbarrier_arrive_in_cluster(uint64_t* barrier, int rank) {
  asm volatile("mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%0];" ::"r"(address_in_cluster(barrier, rank))
               : "memory");
}
/// Until the phase of this parity, in which other blocks arrive, is complete.
__device__ __forceinline__ void mbarrier_wait_for_cluster(uint64_t* barrier, int parity) {
  asm volatile(
      "{\n.reg .pred p;\n"
      "again: mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 p, [%0], %1;\n"
      "@p bra done;\nbra again;\ndone:\n}" ::"r"(shared_address(barrier)),
      "r"(parity)
      : "memory");
}
__device__ __forceinline__ float2 load_in_cluster(const float2* at, int rank) {
  float2 value;
  asm volatile("ld.shared::cluster.v2.f32 {%0, %1}, [%2];"
               : "=f"(value.x), "=f"(value.y)
               : "r"(address_in_cluster(at, rank))
               : "memory");
  return value;
}

__device__ __forceinline__ void prefetch_tensor_map(const CUtensorMap* map) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
}
/// The map's box at (column, row) of a matrix; what lies outside of it is zeros.
__device__ __forceinline__ void tma_load(void* target, const CUtensorMap* map, uint64_t* barrier, int column, int row) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], [%2];" ::
          "r"(shared_address(target)),
      "l"(map), "r"(shared_address(barrier)), "r"(column), "r"(row)
      : "memory");
}

/// Likewise of a stack of matrices, at (column, row, matrix): a box that leaves its matrix does not enter the next.
__device__ __forceinline__ void tma_load_3d(void* target, const CUtensorMap* map, uint64_t* barrier, int column,
                                            int row, int matrix) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5}], "
      "[%2];" ::"r"(shared_address(target)),
      "l"(map), "r"(shared_address(barrier)), "r"(column), "r"(row), "r"(matrix)
      : "memory");
}

/// What the thread wrote to shared memory, and what it knows others wrote, is visible to TMA and wgmma afterwards.
__device__ __forceinline__ void proxy_fence() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }
/// The box at `source` to (column, row) of the map's matrix; what would lie outside of it is left out.
__device__ __forceinline__ void tma_store(const CUtensorMap* map, const void* source, int column, int row) {
  asm volatile("cp.async.bulk.tensor.2d.global.shared::cta.tile.bulk_group [%0, {%2, %3}], [%1];" ::"l"(map),
               "r"(shared_address(source)), "r"(column), "r"(row)
               : "memory");
}
__device__ __forceinline__ void tma_store_commit() { asm volatile("cp.async.bulk.commit_group;" ::: "memory"); }
/// Until at most kGroups of this thread's groups still read shared memory.
template <int kGroups>
__device__ __forceinline__ void tma_store_wait_read() {
  asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(kGroups) : "memory");
}
/// Until at most kGroups of this thread's groups have not arrived.
template <int kGroups>
__device__ __forceinline__ void tma_store_wait() {
  asm volatile("cp.async.bulk.wait_group %0;" ::"n"(kGroups) : "memory");
}

/// Four 8 x 8 matrices, held as load_matrices gives them; lane i gives the address of row i % 8 of matrix i / 8.
__device__ __forceinline__ void store_matrices(void* row, const uint32_t (&r)[4]) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(shared_address(row)), "r"(r[0]),
               "r"(r[1]), "r"(r[2]), "r"(r[3])
               : "memory");
}
/// Held as load_matrices_transposed gives them.
__device__ __forceinline__ void store_matrices_transposed(void* row, const uint32_t (&r)[4]) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(shared_address(row)),
               "r"(r[0]), "r"(r[1]), "r"(r[2]), "r"(r[3])
               : "memory");
}
/// Two matrices, whose addresses lanes 0 to 15 give.
__device__ __forceinline__ void store_matrices_transposed(void* row, const uint32_t (&r)[2]) {
  asm volatile("stmatrix.sync.aligned.m8n8.x2.trans.shared.b16 [%0], {%1, %2};" ::"r"(shared_address(row)), "r"(r[0]),
               "r"(r[1])
               : "memory");
}

__device__ __forceinline__ void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int kGroups>
__device__ __forceinline__ void wgmma_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kGroups) : "memory");
}
/// Sums that are complete: the compiler must not move their use above the wait, which does not name them.
template <int kCount>
__device__ __forceinline__ void wgmma_results(float (&sums)[kCount]) {
#pragma unroll
  for (float& sum : sums) asm volatile("" : "+f"(sum)::"memory");
}
/// d [64, kColumns] (+)= A [64, 16] Bᵀ [16, kColumns], both in shared memory and K-major: by their descriptors.
template <class T, int kColumns>
__device__ __forceinline__ void wgmma(float (&d)[kColumns / 2], uint64_t a, uint64_t b, bool accumulate);

/// d [64, 64] (+)= A [64, 16] B [16, 64]: A in registers, 16 rows a warp, as mma has its own; B in shared memory and
/// N-major, by its descriptor.
template <class T>
__device__ __forceinline__ void wgmma_of_registers(float (&d)[32], const uint32_t (&a)[4], uint64_t b, bool accumulate);

// clang-format off
// Registers of a sum, as the instruction names them and as the compiler gives them.
#define MAGNETS_NAMES_28 \
  "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15" \
  ",%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27"
#define MAGNETS_NAMES_32 MAGNETS_NAMES_28 ",%28,%29,%30,%31"
#define MAGNETS_NAMES_36 MAGNETS_NAMES_32 ",%32,%33,%34,%35"
#define MAGNETS_NAMES_52 MAGNETS_NAMES_36 ",%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,%48,%49,%50,%51"
#define MAGNETS_NAMES_68 MAGNETS_NAMES_52 ",%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63,%64,%65,%66,%67"
#define MAGNETS_NAMES_88 \
  MAGNETS_NAMES_68 ",%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79,%80,%81,%82,%83" \
  ",%84,%85,%86,%87"
#define MAGNETS_NAMES_128 \
  MAGNETS_NAMES_88 ",%88,%89,%90,%91,%92,%93,%94,%95,%96,%97,%98,%99,%100,%101,%102,%103" \
  ",%104,%105,%106,%107,%108,%109,%110,%111,%112,%113,%114,%115,%116,%117,%118,%119" \
  ",%120,%121,%122,%123,%124,%125,%126,%127"
#define MAGNETS_SUMS_4(i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define MAGNETS_SUMS_16(i) MAGNETS_SUMS_4(i), MAGNETS_SUMS_4(i + 4), MAGNETS_SUMS_4(i + 8), MAGNETS_SUMS_4(i + 12)
#define MAGNETS_SUMS_28 MAGNETS_SUMS_16(0), MAGNETS_SUMS_4(16), MAGNETS_SUMS_4(20), MAGNETS_SUMS_4(24)
#define MAGNETS_SUMS_32 MAGNETS_SUMS_28, MAGNETS_SUMS_4(28)
#define MAGNETS_SUMS_36 MAGNETS_SUMS_32, MAGNETS_SUMS_4(32)
#define MAGNETS_SUMS_52 MAGNETS_SUMS_36, MAGNETS_SUMS_16(36)
#define MAGNETS_SUMS_68 MAGNETS_SUMS_52, MAGNETS_SUMS_16(52)
#define MAGNETS_SUMS_88 MAGNETS_SUMS_68, MAGNETS_SUMS_16(68), MAGNETS_SUMS_4(84)
#define MAGNETS_SUMS_128 MAGNETS_SUMS_88, MAGNETS_SUMS_16(88), MAGNETS_SUMS_16(104), MAGNETS_SUMS_4(120), MAGNETS_SUMS_4(124)
// count: registers of the sum; a, b, p: the numbers of the operands after them.
#define MAGNETS_WGMMA(type, columns, count, a_number, b_number, p_number) \
  template <> \
  __device__ __forceinline__ void wgmma<type, columns>(float (&d)[count], uint64_t a, uint64_t b, bool accumulate) { \
    asm volatile( \
        "{\n.reg .pred p;\nsetp.ne.b32 p, %" #p_number ", 0;\n" \
        "wgmma.mma_async.sync.aligned.m64n" #columns "k16.f32." #type "." #type " " \
        "{" MAGNETS_NAMES_##count "}, %" #a_number ", %" #b_number ", p, 1, 1, 0, 0;\n}" \
        : MAGNETS_SUMS_##count \
        : "l"(a), "l"(b), "r"(static_cast<int>(accumulate))); \
  }
#define MAGNETS_WGMMA_OF(type) \
  MAGNETS_WGMMA(type, 56, 28, 28, 29, 30) \
  MAGNETS_WGMMA(type, 72, 36, 36, 37, 38) \
  MAGNETS_WGMMA(type, 104, 52, 52, 53, 54) \
  MAGNETS_WGMMA(type, 136, 68, 68, 69, 70) \
  MAGNETS_WGMMA(type, 176, 88, 88, 89, 90) \
  MAGNETS_WGMMA(type, 256, 128, 128, 129, 130)
MAGNETS_WGMMA_OF(bf16)
MAGNETS_WGMMA_OF(f16)
template <>
__device__ __forceinline__ void wgmma_of_registers<bf16>(float (&d)[32], const uint32_t (&a)[4], uint64_t b, bool accumulate) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %37, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {" MAGNETS_NAMES_32 "}, {%32,%33,%34,%35}, %36, p, 1, 1, 1;\n}"
      : MAGNETS_SUMS_32
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(static_cast<int>(accumulate)));
}
template <>
__device__ __forceinline__ void wgmma_of_registers<f16>(float (&d)[32], const uint32_t (&a)[4], uint64_t b, bool accumulate) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %37, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 {" MAGNETS_NAMES_32 "}, {%32,%33,%34,%35}, %36, p, 1, 1, 1;\n}"
      : MAGNETS_SUMS_32
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(static_cast<int>(accumulate)));
}
#undef MAGNETS_NAMES_28
#undef MAGNETS_NAMES_32
#undef MAGNETS_NAMES_36
#undef MAGNETS_NAMES_52
#undef MAGNETS_NAMES_68
#undef MAGNETS_NAMES_88
#undef MAGNETS_NAMES_128
#undef MAGNETS_SUMS_4
#undef MAGNETS_SUMS_16
#undef MAGNETS_SUMS_28
#undef MAGNETS_SUMS_32
#undef MAGNETS_SUMS_36
#undef MAGNETS_SUMS_52
#undef MAGNETS_SUMS_68
#undef MAGNETS_SUMS_88
#undef MAGNETS_SUMS_128
#undef MAGNETS_WGMMA
#undef MAGNETS_WGMMA_OF
// clang-format on

}  // namespace magnets::cuda
