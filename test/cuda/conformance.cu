// What each function of ptx.cuh does on random inputs, as lines of hexadecimal numbers of 32 bits. Built for the
// emulator and for a GPU; `conformance FILE` writes the lines, `conformance --compare FILE` compares this build's with
// those of the other: conversions, copies and layouts to the bit, sums of products within the roundings of 16 products
// in f32.
#include <cuda.h>
#include <cuda_runtime.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <ptx.cuh>
#include <random>
#include <sstream>
#include <string>
#include <type_traits>
#include <vector>

#include "../../native/cuda/device.h"
#include "../../native/cuda/ptx/operand.cuh"
#include "../../native/cuda/tensor_map.h"

using namespace magnets;
using namespace magnets::cuda;

namespace {

constexpr int kNumbers = 1024;  // of input and of output

struct Numbers {
  uint32_t at[kNumbers];
};

/// Input and output as matrices of 32 rows, in boxes of 16 rows.
struct Maps {
  CUtensorMap in, out;
};
#define MAPS const __grid_constant__ Maps

template <class T>
__global__ void conversions(const uint32_t* in, uint32_t* out, MAPS) {
  const int i = threadIdx.x;
  out[4 * i] = __float_as_uint(low<T>(in[i]));
  out[4 * i + 1] = __float_as_uint(high<T>(in[i]));
  out[4 * i + 2] = pack<T>(__uint_as_float(in[i] % 0x7f000000), -__uint_as_float(in[i + 32] % 0x7f000000));
  out[4 * i + 3] = pack<T>(low<T>(in[i]), high<T>(in[i + 64]));
}

/// 32 chunks of 16 bytes, of which lane i takes i % 17 bytes; read back by ldmatrix, plain and transposed.
__global__ void copies(const uint32_t* in, uint32_t* out, MAPS) {
  auto& shared = shared_as<Numbers>();
  const int lane = threadIdx.x;
  copy_async(shared.at + 4 * lane, in + 4 * lane, lane % 17);
  copy_async_commit();
  copy_async_wait<0>();
  __syncthreads();
  uint32_t plain[4], transposed[4];
  load_matrices(plain, shared.at + 4 * lane);
  load_matrices_transposed(transposed, shared.at + 4 * lane);
  for (int i = 0; i < 4; ++i) {
    out[12 * lane + i] = shared.at[4 * lane + i];
    out[12 * lane + 4 + i] = plain[i];
    out[12 * lane + 8 + i] = transposed[i];
  }
}

template <class T>
__global__ void products(const uint32_t* in, uint32_t* out, MAPS) {
  const int lane = threadIdx.x;
  uint32_t a[4];
  float d[4];
  for (int i = 0; i < 4; ++i) {
    a[i] = in[lane * 4 + i];
    d[i] = low<T>(in[512 + lane * 4 + i]);
  }
  mma<T>(d, a, in[256 + lane], in[320 + lane]);
  for (int i = 0; i < 4; ++i) out[4 * lane + i] = __float_as_uint(d[i]);
}

__global__ void powers(const uint32_t* in, uint32_t* out, MAPS) {
  out[threadIdx.x] = __float_as_uint(exp2_approximate(-20.0f * (in[threadIdx.x] >> 8) * 0x1p-24f));
}

__global__ void reciprocals(const uint32_t* in, uint32_t* out, MAPS) {
  out[threadIdx.x] = __float_as_uint(reciprocal_approximate(1.0f + in[threadIdx.x] % 4096));
}

__global__ void tangents(const uint32_t* in, uint32_t* out, MAPS) {
  out[threadIdx.x] = __float_as_uint(tanh_approximate(8.0f * (in[threadIdx.x] >> 8) * 0x1p-24f - 4.0f));
}

__global__ void tickets(const uint32_t*, uint32_t* out, MAPS) {
  atomic_add_acquire_release(out, 3);
  barrier_sync(1, 32);
  if (threadIdx.x == 0) out[1] = atomic_add_acquire_release(out, 1);
}

// What compute capability 9.0 alone has.
#if !defined(__CUDACC__) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define IF_HOPPER(...) __VA_ARGS__
#else
#define IF_HOPPER(...)
#endif

/// Registers by stmatrix, plain, transposed and two of them transposed.
__global__ void matrices(const uint32_t* in, uint32_t* out, MAPS) {
  IF_HOPPER({
    auto& shared = shared_as<Numbers>();
    const int lane = threadIdx.x;
    const uint32_t r[4] = {in[lane], in[32 + lane], in[64 + lane], in[96 + lane]}, two[2] = {r[0], r[1]};
    store_matrices(shared.at + 4 * lane, r);
    store_matrices_transposed(shared.at + 128 + 4 * lane, r);
    store_matrices_transposed(shared.at + 256 + 4 * (lane % 16), two);
    __syncthreads();
    for (int i = lane; i < 320; i += 32) out[i] = shared.at[i];
  })
}

struct Boxes {
  uint32_t box[2][512];  // 16 rows of 32 pairs
  uint64_t barrier;
};

/// Boxes that reach beyond the input, changed, to boxes that reach beyond the output.
__global__ void boxes(const uint32_t*, uint32_t*, MAPS maps) {
  IF_HOPPER({
    auto& shared = shared_as<Boxes>();
    const int lane = threadIdx.x;
    if (lane == 0) {
      mbarrier_init(&shared.barrier, 1);
      mbarrier_init_fence();
      mbarrier_arrive_expecting(&shared.barrier, sizeof shared.box);
      tma_load(shared.box[0], &maps.in, &shared.barrier, 8, -3);
      tma_load(shared.box[1], &maps.in, &shared.barrier, 24, 20);
    }
    __syncthreads();
    mbarrier_wait(&shared.barrier, 0);
    for (int i = lane; i < 512; i += 32) {
      shared.box[0][i] += i;
      shared.box[1][i] ^= i;
    }
    proxy_fence();
    __syncthreads();
    if (lane == 0) {
      tma_store(&maps.out, shared.box[0], 0, 0);
      tma_store_commit();
      tma_store(&maps.out, shared.box[1], 40, 25);
      tma_store_commit();
      tma_store_wait_read<0>();
      tma_store_wait<0>();
    }
  })
}

struct Operands {
  uint32_t a[64 * 32], b[256 * 32];  // rows of 64 inputs, taken as if they were swizzled
};

/// 32 inputs in two steps. A thread's sums come folded into eight, each with a weight of its own.
template <class T, int kColumns>
__global__ void warpgroup_products(const uint32_t* in, uint32_t* out, MAPS) {
  IF_HOPPER({
    auto& shared = shared_as<Operands>();
    const int thread = threadIdx.x;
    for (int i = thread; i < 64 * 32; i += 128) shared.a[i] = in[(i * 5 + i / 1024) % kNumbers];
    for (int i = thread; i < kColumns * 32; i += 128) shared.b[i] = in[(i * 3 + i / 1024) % kNumbers];
    proxy_fence();
    __syncthreads();
    float sums[kColumns / 2];
    wgmma_fence();
    for (int k = 0; k < 2; ++k) {
      wgmma<T, kColumns>(sums, k_major_operand(shared.a, k), k_major_operand(shared.b, k + 1), k > 0);
    }
    wgmma_commit();
    wgmma_wait<0>();
    wgmma_results(sums);
    for (int i = 0; i < 8; ++i) {
      float folded = 0.0f;
      for (int j = i; j < kColumns / 2; j += 8) folded += sums[j] * (1 + j / 8);
      out[8 * thread + i] = __float_as_uint(folded);
    }
  })
}

struct Case {
  const char* name;
  void (*kernel)(const uint32_t*, uint32_t*, Maps);
  double relative, absolute;  // how far numbers may be apart as floats; both 0: not at all
  bool f16 = false;           // pairs of inputs are f16; else bf16
  int threads = 32;
  bool hopper = false;
};

/// Of a sum of 16 products below 64, in f32.
constexpr double kRoundings = 17 * 1024 * 0x1p-23;
/// Of 32 such products, folded with weights up to 16.
constexpr double kFoldedRoundings = (33 * 2048 + 17 * 2048) * 136 * 0x1p-23;

template <class T, int kColumns>
constexpr Case warpgroup_case(const char* name) {
  return {name, warpgroup_products<T, kColumns>, 0, kFoldedRoundings, std::is_same_v<T, f16>, 128, true};
}

const Case kCases[] = {
    {"conversions bf16", conversions<bf16>, 0, 0},
    {"conversions f16", conversions<f16>, 0, 0, true},
    {"copies", copies, 0, 0},
    {"products bf16", products<bf16>, 0, kRoundings},
    {"products f16", products<f16>, 0, kRoundings, true},
    {"powers", powers, 0x1p-21, 0},
    {"reciprocals", reciprocals, 0x1p-22, 0},
    {"tangents", tangents, 0x1p-10, 0},
    {"tickets", tickets, 0, 0},
    {"matrices", matrices, 0, 0, false, 32, true},
    {"boxes", boxes, 0, 0, false, 32, true},
    warpgroup_case<bf16, 56>("warpgroup products of 56 bf16"),
    warpgroup_case<f16, 56>("warpgroup products of 56 f16"),
    warpgroup_case<bf16, 72>("warpgroup products of 72 bf16"),
    warpgroup_case<f16, 72>("warpgroup products of 72 f16"),
    warpgroup_case<bf16, 104>("warpgroup products of 104 bf16"),
    warpgroup_case<f16, 104>("warpgroup products of 104 f16"),
    warpgroup_case<bf16, 136>("warpgroup products of 136 bf16"),
    warpgroup_case<f16, 136>("warpgroup products of 136 f16"),
    warpgroup_case<bf16, 176>("warpgroup products of 176 bf16"),
    warpgroup_case<f16, 176>("warpgroup products of 176 f16"),
    warpgroup_case<bf16, 256>("warpgroup products of 256 bf16"),
    warpgroup_case<f16, 256>("warpgroup products of 256 f16"),
};

/// Pairs of 16-bit floats below 8, and not much above 0.
std::vector<uint32_t> inputs(const Case& one, int seed) {
  std::mt19937 random(seed);
  std::vector<uint32_t> numbers(kNumbers);
  const int mantissa = one.f16 ? 10 : 7, bias = one.f16 ? 15 : 127;
  const auto half = [&] {
    const uint32_t bits = random() & (0x8000 | ((1u << mantissa) - 1));
    return bits | (bias - 3 + random() % 6) << mantissa;
  };
  for (uint32_t& number : numbers) {
    const uint32_t low = half();
    number = low | half() << 16;
  }
  return numbers;
}

std::vector<uint32_t> outputs(const std::shared_ptr<Device>& device, const Case& one, int seed) {
  const DeviceMemory in(device, kNumbers * 4), out(device, kNumbers * 4);
  std::vector<uint32_t> numbers = inputs(one, seed);
  device->upload(numbers.data(), kNumbers * 4, in.get());
  const std::vector<uint32_t> zeros(kNumbers);
  device->upload(zeros.data(), kNumbers * 4, out.get());
  Maps maps{};
  if (one.hopper) {
    maps.in = matrix_map(in.get(), 32, 64, 64, 16, ComputeType::bf16);
    maps.out = matrix_map(out.get(), 32, 64, 64, 16, ComputeType::bf16);
  }
  cudaStream_t stream;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "creating a stream");
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(1);
  config.blockDim = dim3(one.threads);
  config.dynamicSmemBytes = sizeof(Operands);
  config.stream = stream;
  check(cudaLaunchKernelEx(&config, one.kernel, static_cast<const uint32_t*>(in.get()),
                           static_cast<uint32_t*>(out.get()), maps),
        "launching");
  check(cudaMemcpyAsync(numbers.data(), out.get(), kNumbers * 4, cudaMemcpyDeviceToHost, stream), "downloading");
  check(cudaStreamSynchronize(stream), "running");
  cudaStreamDestroy(stream);
  return numbers;
}

bool agree(const Case& one, uint32_t a, uint32_t b) {
  if (a == b) return true;
  float x, y;
  std::memcpy(&x, &a, 4);
  std::memcpy(&y, &b, 4);
  if (std::isnan(x) && std::isnan(y)) return true;
  return std::abs(x - y) <= one.relative * std::abs(x) + one.absolute;
}

}  // namespace

int main(int count, char** arguments) {
  const bool compare = count == 3 && std::string(arguments[1]) == "--compare";
  if (count != 2 && !compare) {
    std::fprintf(stderr, "expected conformance FILE or conformance --compare FILE\n");
    return 2;
  }
  std::fstream file(arguments[count - 1], compare ? std::ios::in : std::ios::out);
#ifndef __CUDACC__
  emulator::device = {9, 0, 1};
#endif
  const auto device = std::make_shared<Device>(0, INT_MAX);
  int passed = 0, failed = 0;
  for (const Case& one : kCases) {
    if (one.hopper && device->capability() != 90) {
      std::printf("left out: %s\n", one.name);
      std::string line;
      for (int seed = 0; seed < 20 && compare; ++seed) std::getline(file, line);
      continue;
    }
    for (int seed = 0; seed < 20; ++seed) {
      const std::vector<uint32_t> own = outputs(device, one, seed);
      if (!compare) {
        for (const uint32_t number : own) file << std::hex << number << ' ';
        file << '\n';
        continue;
      }
      std::string line;
      std::getline(file, line);
      std::istringstream other(line);
      bool same = true;
      for (const uint32_t number : own) {
        uint32_t expected = 0;
        other >> std::hex >> expected;
        same = same && other && agree(one, number, expected);
      }
      ++(same ? passed : failed);
      if (!same) std::printf("failed: %s, seed %d\n", one.name, seed);
    }
  }
  if (compare) std::printf("conformance: %d passed, %d failed\n", passed, failed);
  return failed > 0;
}
