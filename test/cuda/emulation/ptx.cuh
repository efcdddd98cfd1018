// native/cuda/ptx/ptx.cuh for the emulator: the same functions, done by the emulator instead of by inline PTX.
#pragma once

#include <cuda.h>
#include <cuda_runtime.h>

#include <type_traits>

namespace magnets::cuda {

struct bf16 {
  uint16_t bits;
};
struct f16 {
  uint16_t bits;
};

template <class T>
constexpr emulator::Element kElement = std::is_same_v<T, bf16> ? emulator::Element::bf16 : emulator::Element::f16;

template <class T>
float low(uint32_t pair) {
  return emulator::to_float(static_cast<uint16_t>(pair), kElement<T>);
}
template <class T>
float high(uint32_t pair) {
  return emulator::to_float(static_cast<uint16_t>(pair >> 16), kElement<T>);
}
template <class T>
uint32_t pack(float low, float high) {
  return emulator::from_float(low, kElement<T>) | uint32_t{emulator::from_float(high, kElement<T>)} << 16;
}

inline float exp2_approximate(float x) { return std::exp2(x); }
inline float reciprocal_approximate(float x) { return 1.0f / x; }
/// With the error that the instruction may have.
inline float tanh_approximate(float x) {
  int exponent = 0;
  const float digits = std::frexp(std::tanh(x), &exponent);
  return std::ldexp(std::nearbyint(std::ldexp(digits, 11)), exponent - 11);
}

template <class T>
T& shared_as() {
  if (sizeof(T) > emulator::shared_bytes) {
    emulator::fail("wants %zu bytes of shared memory, was given %zu", sizeof(T), emulator::shared_bytes);
  }
  return *reinterpret_cast<T*>(emulator::shared_memory);
}
inline uint32_t shared_address(const void* pointer) {
  return static_cast<uint32_t>(static_cast<const unsigned char*>(pointer) - emulator::shared_memory);
}

inline void barrier_sync(int id, int threads, EMULATOR_LINE) { emulator::block_barrier(id, threads, line); }

inline void wait_for_previous_grid() { emulator::wait_for_previous_grid(); }
inline void let_next_grid_start() {}

inline unsigned atomic_add_acquire_release(unsigned* at, unsigned value) {
  return __atomic_fetch_add(at, value, __ATOMIC_ACQ_REL);
}

inline void copy_async(void* target, const void* source, int bytes, EMULATOR_LINE) {
  emulator::copy_async(target, source, bytes, line);
}
inline void copy_async_commit() { emulator::copy_async_commit(); }
template <int kGroups>
void copy_async_wait() {
  emulator::copy_async_wait(kGroups);
}

inline void load_matrices(uint32_t (&r)[4], const void* row, EMULATOR_LINE) {
  emulator::ldmatrix_x4(r, false, row, line);
}
inline void load_matrices_transposed(uint32_t (&r)[4], const void* row, EMULATOR_LINE) {
  emulator::ldmatrix_x4(r, true, row, line);
}
template <class T>
void mma(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, EMULATOR_LINE) {
  const uint32_t b[2] = {b0, b1};
  emulator::mma_m16n8k16(d, a, b, kElement<T>, line);
}

// ---- sm_90a

inline void mbarrier_init(uint64_t* barrier, int count, EMULATOR_LINE) {
  emulator::mbarrier_init(barrier, count, line);
}
inline void mbarrier_init_fence() {}
inline void mbarrier_arrive(uint64_t* barrier, EMULATOR_LINE) { emulator::mbarrier_arrive(barrier, -1, 0, line); }
inline void mbarrier_arrive_expecting(uint64_t* barrier, int bytes, EMULATOR_LINE) {
  emulator::mbarrier_arrive(barrier, -1, bytes, line);
}
inline void mbarrier_wait(uint64_t* barrier, int parity, EMULATOR_LINE) {
  emulator::mbarrier_wait(barrier, parity, line);
}
inline void cluster_barrier(EMULATOR_LINE) { emulator::cluster_barrier(line); }
inline void mbarrier_arrive_in_cluster(uint64_t* barrier, int rank, EMULATOR_LINE) {
  emulator::mbarrier_arrive(barrier, rank, 0, line);
}
inline void mbarrier_wait_for_cluster(uint64_t* barrier, int parity, EMULATOR_LINE) {
  emulator::mbarrier_wait(barrier, parity, line);
}
inline float2 load_in_cluster(const float2* at, int rank, EMULATOR_LINE) {
  float2 value;
  emulator::load_of_block(&value, at, rank, sizeof value, line);
  return value;
}
inline void prefetch_tensor_map(const CUtensorMap*) {}
inline void tma_load(void* target, const CUtensorMap* map, uint64_t* barrier, int column, int row, EMULATOR_LINE) {
  emulator::tma_load(target, map, barrier, column, row, -1, line);
}
inline void tma_load_3d(void* target, const CUtensorMap* map, uint64_t* barrier, int column, int row, int matrix,
                        EMULATOR_LINE) {
  emulator::tma_load(target, map, barrier, column, row, matrix, line);
}
inline void proxy_fence() { emulator::proxy_fence(); }
inline void tma_store(const CUtensorMap* map, const void* source, int column, int row, EMULATOR_LINE) {
  emulator::tma_store(map, source, column, row, line);
}
inline void tma_store_commit() { emulator::tma_store_commit(); }
template <int kGroups>
void tma_store_wait_read() {
  emulator::tma_store_wait(kGroups, true);
}
template <int kGroups>
void tma_store_wait() {
  emulator::tma_store_wait(kGroups, false);
}
inline void store_matrices(void* row, const uint32_t (&r)[4], EMULATOR_LINE) {
  emulator::stmatrix(row, r, 4, false, line);
}
inline void store_matrices_transposed(void* row, const uint32_t (&r)[4], EMULATOR_LINE) {
  emulator::stmatrix(row, r, 4, true, line);
}
inline void store_matrices_transposed(void* row, const uint32_t (&r)[2], EMULATOR_LINE) {
  emulator::stmatrix(row, r, 2, true, line);
}
inline void wgmma_fence() { emulator::wgmma_fence(); }
inline void wgmma_commit() { emulator::wgmma_commit(); }
template <int kGroups>
void wgmma_wait() {
  emulator::wgmma_wait(kGroups);
}
template <int kCount>
void wgmma_results(float (&)[kCount]) {}
template <class T, int kColumns>
void wgmma(float (&d)[kColumns / 2], uint64_t a, uint64_t b, bool accumulate, EMULATOR_LINE) {
  emulator::wgmma(d, kColumns, a, b, accumulate, kElement<T>, line);
}
template <class T>
void wgmma_of_registers(float (&d)[32], const uint32_t (&a)[4], uint64_t b, bool accumulate, EMULATOR_LINE) {
  emulator::wgmma_of_registers(d, 64, a, b, accumulate, kElement<T>, line);
}

}  // namespace magnets::cuda
