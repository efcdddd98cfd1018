// Runs CUDA C++ kernels as plain C++ on one CPU core: a fiber for every CUDA thread, one block, or cluster of blocks,
// after another.
//
// It exists to find what is wrong with a kernel, so it is unkind where the hardware may be: shared memory starts as
// NaN, asynchronous copies land as late as they may (or as early), threads run in an order that the test chooses, and
// whatever the CUDA model leaves undefined (a barrier that not all reach, a warp that disagrees, a copy that nobody
// waits for) ends the program with the lines concerned. Under ThreadSanitizer every fiber is a thread of its own,
// ordered only by what orders CUDA threads: barriers, __syncwarp, atomics, mbarriers, proxy fences.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

namespace emulator {

enum class Order { forward, reverse, random };  // in which runnable threads, and blocks, are resumed

struct Options {
  Order order = Order::forward;
  unsigned seed = 1;
  bool lazy = true;  // asynchronous copies and wgmma take effect at the wait for them; else when issued
};
extern Options options;

/// The device that the emulated runtime reports.
struct Device {
  int major = 8, minor = 0, multiprocessors = 2;
};
extern Device device;

/// What kernels did, for tests that want to know that a path was taken and how well it uses shared memory.
struct Counters {
  uint64_t mma, wgmma, tma_loads, tma_stores, ldmatrix, stmatrix, bank_conflicts;
  uint64_t launches, recordings, graph_launches;
};
extern Counters counters;

struct Thread {
  int linear, warp, lane;
};
extern Thread* current;  // null outside kernels
extern dim3 thread_index, block_index, block_size, grid_size;
extern unsigned char* shared_memory;
extern size_t shared_bytes;

/// `waits_for_grid`: every thread must call wait_for_previous_grid (the launch may overlap the one before it).
/// `cluster`: so many blocks, neighbours along x, run at once; others run one after the other.
void run_grid(dim3 grid, dim3 block, int cluster, size_t shared, bool waits_for_grid,
              const std::function<void()>& body);

/// Prints where the current thread is and ends the program.
[[noreturn, gnu::format(printf, 1, 2)]] void fail(const char* format, ...);

void block_barrier(int id, int threads, int line);  // threads 0: all
void warp_barrier(unsigned mask, int line);
enum class Shuffle { up, butterfly };
uint64_t shuffle(unsigned mask, uint64_t value, int argument, Shuffle mode, int line);
uint32_t ballot(unsigned mask, bool predicate, int line);

enum class Element { bf16, f16 };
inline float to_float(uint16_t bits, Element element) {
  if (element == Element::bf16) return std::bit_cast<float>(uint32_t{bits} << 16);
  // Exponent and mantissa moved to a float's places, whose exponents count from 112 more; all ones is no number.
  const uint32_t magnitude = uint32_t{bits & 0x7fffu} << 13, sign = uint32_t{bits & 0x8000u} << 16;
  const float finite = std::bit_cast<float>(magnitude) * 0x1p112f;
  const uint32_t value = (bits & 0x7c00) == 0x7c00 ? magnitude | 0x7f800000 : std::bit_cast<uint32_t>(finite);
  return std::bit_cast<float>(value | sign);
}
uint16_t from_float(float value, Element element);  // to nearest even
void mma_m16n8k16(float* d, const uint32_t* a, const uint32_t* b, Element element, int line);
void ldmatrix_x4(uint32_t* registers, bool transposed, const void* row, int line);
void stmatrix(void* row, const uint32_t* registers, int matrices, bool transposed, int line);  // of 4 or 2
void copy_async(void* target, const void* source, int source_bytes, int line);  // 16 bytes, the rest zeros
void copy_async_commit();
void copy_async_wait(int groups);
void wait_for_previous_grid();

// Hopper.
struct TensorMap {  // matrices of 16-bit elements; the inner box is 128 bytes, swizzled, of one matrix
  const unsigned char* base;
  int dimensions;                                           // 2 or 3
  uint64_t columns, rows, matrices, stride, matrix_stride;  // elements, rows, matrices, bytes, bytes
  uint32_t box_columns, box_rows;
};
void mbarrier_init(uint64_t* barrier, int count, int line);
void mbarrier_arrive(uint64_t* barrier, int rank, int expected_bytes, int line);  // rank: see below; -1: one's own
void mbarrier_wait(uint64_t* barrier, int parity, int line);
/// matrix: of a map of three dimensions; -1: the map has two.
void tma_load(void* target, const TensorMap* map, uint64_t* barrier, int column, int row, int matrix, int line);
void wgmma(float* d, int columns, uint64_t descriptor_a, uint64_t descriptor_b, bool accumulate, Element element,
           int line);
/// A in registers, as fragments of mma; B N-major.
void wgmma_of_registers(float* d, int columns, const uint32_t* a, uint64_t descriptor_b, bool accumulate,
                        Element element, int line);
void wgmma_fence();
void wgmma_commit();
void wgmma_wait(int groups);
/// Of a cluster: all threads of all its blocks meet. A block's shared memory is reached from the others by the address
/// of the same thing in one's own and the block's rank; it may end only after a cluster barrier since that.
void cluster_barrier(int line);
unsigned char* in_block(const void* own, int rank, size_t bytes, int line);
void load_of_block(void* value, const void* own, int rank, size_t bytes, int line);
void proxy_fence();
void tma_store(const TensorMap* map, const void* source, int column, int row, int line);
void tma_store_commit();
void tma_store_wait(int groups, bool read);  // `read`: until shared memory has been read, no longer

}  // namespace emulator
