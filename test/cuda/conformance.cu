// What each function of ptx.cuh does on random inputs, as lines of hexadecimal numbers of 32 bits. Built for the
// emulator and for a GPU; `conformance FILE` writes the lines, `conformance --compare FILE` compares this build's with
// those of the other: conversions, copies and layouts to the bit, sums of products within the roundings of as many
// products in f32. What the device does not have is left out.
#include <cuda_runtime.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <ptx.cuh>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "conformance.h"

using namespace magnets;
using namespace magnets::cuda;
using namespace magnets::test;

namespace {

constexpr int kNumbers = 1024;  // of input and of output, of one warp

struct Numbers {
  uint32_t at[kNumbers];
};

template <class T>
__global__ void conversions(const uint32_t* in, uint32_t* out) {
  const int i = threadIdx.x;
  out[4 * i] = __float_as_uint(low<T>(in[i]));
  out[4 * i + 1] = __float_as_uint(high<T>(in[i]));
  out[4 * i + 2] = pack<T>(__uint_as_float(in[i] % 0x7f000000), -__uint_as_float(in[i + 32] % 0x7f000000));
  out[4 * i + 3] = pack<T>(low<T>(in[i]), high<T>(in[i + 64]));
}

/// 32 chunks of 16 bytes, of which lane i takes i % 17 bytes; read back by ldmatrix, plain and transposed.
__global__ void copies(const uint32_t* in, uint32_t* out) {
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
__global__ void products(const uint32_t* in, uint32_t* out) {
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

__global__ void powers(const uint32_t* in, uint32_t* out) {
  out[threadIdx.x] = __float_as_uint(exp2_approximate(-20.0f * (in[threadIdx.x] >> 8) * 0x1p-24f));
}

__global__ void reciprocals(const uint32_t* in, uint32_t* out) {
  out[threadIdx.x] = __float_as_uint(reciprocal_approximate(1.0f + in[threadIdx.x] % 4096));
}

__global__ void tangents(const uint32_t* in, uint32_t* out) {
  out[threadIdx.x] = __float_as_uint(tanh_approximate(8.0f * (in[threadIdx.x] >> 8) * 0x1p-24f - 4.0f));
}

__global__ void tickets(const uint32_t*, uint32_t* out) {
  atomic_add_acquire_release(out, 3);
  barrier_sync(1, 32);
  if (threadIdx.x == 0) out[1] = atomic_add_acquire_release(out, 1);
}

/// Of a sum of 16 products below 64, in f32.
constexpr double kRoundings = 17 * 1024 * 0x1p-23;

Case of_warp(const char* name, void (*kernel)(const uint32_t*, uint32_t*), double relative = 0, double absolute = 0,
             bool f16 = false) {
  return {name, relative, absolute, f16, 0, kNumbers, kNumbers, [kernel](cudaStream_t stream, auto in, auto out) {
            launch_block(stream, kernel, 32, sizeof(Numbers), in, out);
          }};
}

std::vector<Case> all_cases() {
  std::vector<Case> cases{
      of_warp("conversions bf16", conversions<bf16>),
      of_warp("conversions f16", conversions<f16>, 0, 0, true),
      of_warp("copies", copies),
      of_warp("products bf16", products<bf16>, 0, kRoundings),
      of_warp("products f16", products<f16>, 0, kRoundings, true),
      of_warp("powers", powers, 0x1p-21),
      of_warp("reciprocals", reciprocals, 0x1p-22),
      of_warp("tangents", tangents, 0x1p-10),
      of_warp("tickets", tickets),
  };
  for (Case& one : wgmma_cases()) cases.push_back(std::move(one));
  return cases;
}

/// Pairs of 16-bit floats below 8, and not much above 0.
std::vector<uint32_t> inputs(const Case& one, int seed) {
  std::mt19937 random(seed);
  std::vector<uint32_t> numbers(one.inputs);
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
  const DeviceMemory in(device, one.inputs * 4), out(device, one.outputs * 4);
  const std::vector<uint32_t> given = inputs(one, seed);
  device->upload(given.data(), one.inputs * 4, in.get());
  std::vector<uint32_t> numbers(one.outputs);
  device->upload(numbers.data(), one.outputs * 4, out.get());
  cudaStream_t stream;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "creating a stream");
  one.launch(stream, static_cast<const uint32_t*>(in.get()), static_cast<uint32_t*>(out.get()));
  check(cudaMemcpyAsync(numbers.data(), out.get(), one.outputs * 4, cudaMemcpyDeviceToHost, stream), "downloading");
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
  const auto device = std::make_shared<Device>(0, INT_MAX);
  int passed = 0, failed = 0;
  for (const Case& one : all_cases()) {
    const bool here = !compare || one.capability == 0 || one.capability == device->capability();
    for (int seed = 0; seed < (one.capability == 0 ? 20 : 3); ++seed) {  // those of sm_90a are long
      const std::vector<uint32_t> own = here ? outputs(device, one, seed) : std::vector<uint32_t>();
      if (!compare) {
        for (const uint32_t number : own) file << std::hex << number << ' ';
        file << '\n';
        continue;
      }
      std::string line;
      std::getline(file, line);
      if (!here) continue;
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
