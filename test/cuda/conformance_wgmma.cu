// The functions of ptx.cuh that sm_90a alone has: TMA loads of two and of three dimensions, and stores, which leave
// their matrix, stmatrix, wgmma of every size and kind of operand that kernels use, and what blocks of a cluster tell
// each other.
#include <ptx.cuh>

#include "../../native/cuda/ptx/operand.cuh"
#include "../../native/cuda/tensor_map.h"
#include "conformance.h"

namespace magnets::test {

namespace {

using namespace magnets::cuda;

constexpr int kThreads = 128, kRow = kBoxColumns / 2;  // numbers of 32 bits
constexpr int kStacked = 3, kStackedRows = 10;         // matrices of a stack, and rows of each

template <int kRows>
struct Tile {
  uint32_t at[kRows * kRow];
};

/// A barrier for loads of so many bytes, which the first thread may begin.
__device__ __forceinline__ void start_loads(uint64_t* barrier, int bytes) {
  if (threadIdx.x == 0) {
    mbarrier_init(barrier, 1);
    mbarrier_init_fence();
    mbarrier_arrive_expecting(barrier, bytes);
  }
  __syncthreads();
}

struct LoadShared {
  Tile<8> tiles[4];
  uint64_t barrier;
};

/// Boxes of eight rows across the edges of matrices [10, 64]: of the first, of a stack's second and last, beyond all.
__global__ void loads(const __grid_constant__ CUtensorMap matrix, const __grid_constant__ CUtensorMap stack,
                      uint32_t* out) {
  auto& shared = shared_as<LoadShared>();
  start_loads(&shared.barrier, sizeof(shared.tiles));
  if (threadIdx.x == 0) {
    tma_load(&shared.tiles[0], &matrix, &shared.barrier, 8, -3);
    tma_load_3d(&shared.tiles[1], &stack, &shared.barrier, 0, 5, 1);
    tma_load_3d(&shared.tiles[2], &stack, &shared.barrier, -16, 5, kStacked - 1);
    tma_load_3d(&shared.tiles[3], &stack, &shared.barrier, 0, 0, kStacked);
  }
  mbarrier_wait(&shared.barrier, 0);
  for (unsigned i = threadIdx.x; i < sizeof(shared.tiles) / 4; i += kThreads) out[i] = shared.tiles[0].at[i];
}

void launch_loads(cudaStream_t stream, const uint32_t* in, uint32_t* out) {
  launch_block(stream, loads, kThreads, sizeof(LoadShared),
               matrix_map(in, kStackedRows, kBoxColumns, kBoxColumns, 8, ComputeType::bf16),
               stack_map(in, kStacked, kStackedRows, kBoxColumns, 8, ComputeType::bf16), out);
}

struct StoreShared {
  Tile<8> tiles[2];
  uint64_t barrier;
};

/// Boxes of eight rows of the input, changed, to where they lie within a matrix [10, 64] and across its edges.
__global__ void stores(const __grid_constant__ CUtensorMap from, const __grid_constant__ CUtensorMap to) {
  auto& shared = shared_as<StoreShared>();
  start_loads(&shared.barrier, sizeof(shared.tiles));
  if (threadIdx.x == 0) {
    tma_load(&shared.tiles[0], &from, &shared.barrier, 0, 0);
    tma_load(&shared.tiles[1], &from, &shared.barrier, 0, 8);
  }
  mbarrier_wait(&shared.barrier, 0);
  for (unsigned i = threadIdx.x; i < 2 * 8 * kRow; i += kThreads) shared.tiles[0].at[i] ^= i;
  proxy_fence();
  __syncthreads();
  if (threadIdx.x == 0) {
    tma_store(&to, &shared.tiles[0], 0, -1);
    tma_store_commit();
    tma_store(&to, &shared.tiles[1], 40, 7);
    tma_store_commit();
    tma_store_wait_read<0>();
    tma_store_wait<0>();
  }
}

void launch_stores(cudaStream_t stream, const uint32_t* in, uint32_t* out) {
  launch_block(stream, stores, kThreads, sizeof(StoreShared),
               matrix_map(in, 16, kBoxColumns, kBoxColumns, 8, ComputeType::bf16),
               matrix_map(out, kStackedRows, kBoxColumns, kBoxColumns, 8, ComputeType::bf16));
}

constexpr int kClusterBlocks = 4;

struct ClusterShared {
  float2 pairs[kThreads];
  uint64_t here[2];
};

/// Twice every block leaves a pair a thread, and reads those of the next block and the one after.
__global__ void clusters(const uint32_t* in, uint32_t* out) {
  auto& shared = shared_as<ClusterShared>();
  const int block = blockIdx.x, thread = threadIdx.x;
  if (thread == 0) {
    for (uint64_t& here : shared.here) mbarrier_init(&here, kClusterBlocks);
    mbarrier_init_fence();
  }
  cluster_barrier();
  for (int turn = 0; turn < 2; ++turn) {
    const uint32_t* own = in + (turn * kClusterBlocks + block) * 2 * kThreads;
    shared.pairs[thread] = float2{__uint_as_float(own[thread]), __uint_as_float(own[kThreads + thread])};
    __syncthreads();
    if (thread < kClusterBlocks) mbarrier_arrive_in_cluster(&shared.here[turn], thread);
    mbarrier_wait_for_cluster(&shared.here[turn], 0);
    uint32_t* to = out + (turn * kClusterBlocks + block) * 4 * kThreads + thread;
    for (int i = 0; i < 2; ++i) {
      const float2 pair = load_in_cluster(&shared.pairs[kThreads - 1 - thread], (block + 1 + i) % kClusterBlocks);
      to[2 * i * kThreads] = __float_as_uint(pair.x);
      to[(2 * i + 1) * kThreads] = __float_as_uint(pair.y);
    }
    cluster_barrier();
  }
}

void launch_clusters(cudaStream_t stream, const uint32_t* in, uint32_t* out) {
  launch_cluster(stream, clusters, kClusterBlocks, kThreads, sizeof(ClusterShared), in, out);
}

/// Four matrices, four of them transposed, and two.
__global__ void matrices(const uint32_t* in, uint32_t* out) {
  auto& shared = shared_as<Tile<10>>();
  const int lane = threadIdx.x;
  const uint32_t r[4] = {in[lane], in[32 + lane], in[64 + lane], in[96 + lane]}, two[2] = {r[0], r[1]};
  store_matrices(shared.at + 4 * lane, r);
  store_matrices_transposed(shared.at + 128 + 4 * lane, r);
  store_matrices_transposed(shared.at + 256 + 4 * (lane % 16), two);
  __syncthreads();
  for (int i = lane; i < 320; i += 32) out[i] = shared.at[i];
}

void launch_matrices(cudaStream_t stream, const uint32_t* in, uint32_t* out) {
  launch_block(stream, matrices, 32, sizeof(Tile<10>), in, out);
}

template <int kColumns>
struct ProductShared {
  Tile<64> a;
  Tile<kColumns> b;
  uint64_t barrier;
};

template <int kColumns>
__device__ __forceinline__ void load_operands(ProductShared<kColumns>& shared, const CUtensorMap& a,
                                              const CUtensorMap& b) {
  start_loads(&shared.barrier, sizeof(shared.a) + sizeof(shared.b));
  if (threadIdx.x == 0) {
    tma_load(&shared.a, &a, &shared.barrier, 0, 0);
    tma_load(&shared.b, &b, &shared.barrier, 0, 0);
  }
  mbarrier_wait(&shared.barrier, 0);
}

/// Two products of 16 inputs, the second added to the first: A [64, 64] and B [kColumns, 64], inputs 32 .. 64.
template <class T, int kColumns>
__global__ void products(const __grid_constant__ CUtensorMap a, const __grid_constant__ CUtensorMap b, uint32_t* out) {
  auto& shared = shared_as<ProductShared<kColumns>>();
  load_operands(shared, a, b);
  float d[kColumns / 2];
  wgmma_fence();
#pragma unroll
  for (int k = 2; k < 4; ++k) {
    wgmma<T, kColumns>(d, k_major_operand(&shared.a, k), k_major_operand(&shared.b, k), k > 2);
  }
  wgmma_commit();
  wgmma_wait<0>();
  wgmma_results(d);
#pragma unroll
  for (int i = 0; i < kColumns / 2; ++i) out[i * kThreads + threadIdx.x] = __float_as_uint(d[i]);
}

/// Likewise of A in registers, read where a fragment of mma lies in its rows, and B [64 inputs, 64], N-major.
template <class T>
__global__ void products_of_registers(const __grid_constant__ CUtensorMap a, const __grid_constant__ CUtensorMap b,
                                      const uint32_t* in, uint32_t* out) {
  auto& shared = shared_as<ProductShared<64>>();
  load_operands(shared, a, b);
  float d[32];
  uint32_t left[2][4];
  const int row = threadIdx.x / 32 * 16 + threadIdx.x % 32 / 4;
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    left[i / 4][i % 4] = in[(row + i % 2 * 8) * kRow + i / 4 * 8 + i % 4 / 2 * 4 + threadIdx.x % 4];
  }
  wgmma_fence();
#pragma unroll
  for (int k = 2; k < 4; ++k) wgmma_of_registers<T>(d, left[k - 2], n_major_operand(&shared.b, k), k > 2);
  wgmma_commit();
  wgmma_wait<0>();
  wgmma_results(d);
#pragma unroll
  for (int i = 0; i < 32; ++i) out[i * kThreads + threadIdx.x] = __float_as_uint(d[i]);
}

/// Of a sum of 32 products below 64, in f32.
constexpr double kRoundings = 33 * 2048 * 0x1p-23;
constexpr int kMostRows = 64 + 256;  // of A and B

template <class T>
constexpr ComputeType kCompute = std::is_same_v<T, f16> ? ComputeType::f16 : ComputeType::bf16;

/// A begins the inputs, B follows.
template <class T, int kColumns>
Case case_of_products(const char* name) {
  const auto launch = [](cudaStream_t stream, const uint32_t* in, uint32_t* out) {
    launch_block(stream, products<T, kColumns>, kThreads, sizeof(ProductShared<kColumns>),
                 matrix_map(in, 64, kBoxColumns, kBoxColumns, 64, kCompute<T>),
                 matrix_map(in + 64 * kRow, kColumns, kBoxColumns, kBoxColumns, kColumns, kCompute<T>), out);
  };
  return {name, 0, kRoundings, std::is_same_v<T, f16>, 90, kMostRows * kRow, kColumns / 2 * kThreads, launch};
}

template <class T>
Case case_of_registers(const char* name) {
  const auto launch = [](cudaStream_t stream, const uint32_t* in, uint32_t* out) {
    launch_block(stream, products_of_registers<T>, kThreads, sizeof(ProductShared<64>),
                 matrix_map(in, 64, kBoxColumns, kBoxColumns, 64, kCompute<T>),
                 matrix_map(in + 64 * kRow, 64, kBoxColumns, kBoxColumns, 64, kCompute<T>), in, out);
  };
  return {name, 0, kRoundings, std::is_same_v<T, f16>, 90, kMostRows * kRow, 32 * kThreads, launch};
}

}  // namespace

std::vector<Case> wgmma_cases() {
  return {
      {"TMA loads", 0, 0, false, 90, kStacked * kStackedRows * kRow, 4 * 8 * kRow, launch_loads},
      {"TMA stores", 0, 0, false, 90, 16 * kRow, kStackedRows * kRow, launch_stores},
      {"stmatrix", 0, 0, false, 90, 128, 320, launch_matrices},
      {"clusters", 0, 0, false, 90, 4 * kClusterBlocks * kThreads, 8 * kClusterBlocks * kThreads, launch_clusters},
      case_of_products<bf16, 56>("wgmma bf16, 56 columns"),
      case_of_products<f16, 56>("wgmma f16, 56 columns"),
      case_of_products<bf16, 72>("wgmma bf16, 72 columns"),
      case_of_products<f16, 72>("wgmma f16, 72 columns"),
      case_of_products<bf16, 104>("wgmma bf16, 104 columns"),
      case_of_products<f16, 104>("wgmma f16, 104 columns"),
      case_of_products<bf16, 136>("wgmma bf16, 136 columns"),
      case_of_products<f16, 136>("wgmma f16, 136 columns"),
      case_of_products<bf16, 176>("wgmma bf16, 176 columns"),
      case_of_products<f16, 176>("wgmma f16, 176 columns"),
      case_of_products<bf16, 256>("wgmma bf16, 256 columns"),
      case_of_products<f16, 256>("wgmma f16, 256 columns"),
      case_of_registers<bf16>("wgmma bf16 of registers"),
      case_of_registers<f16>("wgmma f16 of registers"),
  };
}

}  // namespace magnets::test
