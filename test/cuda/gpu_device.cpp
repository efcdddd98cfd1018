// The CUDA backend on the first GPU. Exits with 77, "skipped", where there is none.
#include <cuda_runtime.h>

#include <cstdio>
#include <cstdlib>

#include "../../native/cuda/cuda_backend.h"
#include "../native/subjects.h"
#include "device_hooks.h"
#include "types.h"

namespace magnets::test {

namespace {

class GpuSubject : public Subject {
 public:
  explicit GpuSubject(DType dtype) : dtype_(dtype) {}
  std::string name() const override { return std::string("cuda:0, ") + name_of(dtype_); }
  std::unique_ptr<Backend> open(int) const override { return cuda::open(0, dtype_); }
  std::vector<DType> dtypes() const override { return {dtype_}; }
  double rounded(double value) const override { return round_to(dtype_, value); }
  double unit() const override { return unit_of(dtype_); }
  double tiny() const override { return tiny_of(dtype_); }
  bool same_bits() const override { return false; }
  bool slow() const override { return false; }

 private:
  DType dtype_;
};

}  // namespace

LittleMemory::LittleMemory() {
  size_t free = 0, total = 0;
  cudaMemGetInfo(&free, &total);
  for (size_t size = free; size > (1 << 20) && cudaMalloc(&taken_, size) != cudaSuccess; size -= size / 64) {
    cudaGetLastError();
  }
}
LittleMemory::~LittleMemory() { cudaFree(taken_); }

const std::vector<std::unique_ptr<Subject>>& subjects(Variety) {
  static const auto all = [] {
    int devices = 0;
    if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
      std::printf("skipped: no CUDA device\n");
      std::exit(77);
    }
    std::vector<std::unique_ptr<Subject>> made;
    made.push_back(std::make_unique<GpuSubject>(DType::bf16));
    made.push_back(std::make_unique<GpuSubject>(DType::f16));
    return made;
  }();
  return all;
}

}  // namespace magnets::test
