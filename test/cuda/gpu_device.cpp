// The CUDA backend on the first GPU. Exits with 77, "skipped", where there is none.
#include <cuda_runtime.h>

#include <climits>
#include <cstdio>
#include <cstdlib>

#include "../../native/cuda/cuda_backend.h"
#include "device_hooks.h"
#include "precision.h"

namespace magnets::test {

namespace {

/// Kernels are chosen by the number of multiprocessors: the tests' small matrices take the large tiles of few, the
/// split products of all.
class GpuSubject : public CudaSubject {
 public:
  GpuSubject(ComputeType compute, int multiprocessors) : CudaSubject(compute), multiprocessors_(multiprocessors) {}
  std::string name() const override {
    const std::string of = multiprocessors_ == INT_MAX ? "all" : std::to_string(multiprocessors_);
    return "cuda:0, " + of + " multiprocessors, " + name_of(compute_);
  }
  std::unique_ptr<Backend> open(int) const override { return cuda::open(0, compute_, multiprocessors_); }
  bool large() const override { return multiprocessors_ == INT_MAX; }
  bool slow() const override { return false; }

 private:
  int multiprocessors_;
};

}  // namespace

// From the pool that the backend takes its own from, so that what the pool keeps is taken too.
LittleMemory::LittleMemory() {
  size_t free = 0, total = 0;
  cudaMemGetInfo(&free, &total);
  auto* taken = new std::vector<void*>;
  for (size_t size = free; size >= (64 << 10);) {
    void* memory = nullptr;
    if (cudaMallocAsync(&memory, size, nullptr) == cudaSuccess) {
      taken->push_back(memory);
    } else {
      cudaGetLastError();
      size /= 2;
    }
  }
  cudaStreamSynchronize(nullptr);
  taken_ = taken;
}
LittleMemory::~LittleMemory() {
  auto* taken = static_cast<std::vector<void*>*>(taken_);
  for (void* memory : *taken) cudaFreeAsync(memory, nullptr);
  cudaStreamSynchronize(nullptr);
  delete taken;
}

const std::vector<std::unique_ptr<Subject>>& subjects(Variety variety) {
  static const auto all = [&] {
    int devices = 0;
    if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
      std::printf("skipped: no CUDA device\n");
      std::exit(77);
    }
    std::vector<std::unique_ptr<Subject>> made;
    for (const ComputeType compute : {ComputeType::bf16, ComputeType::f16})
      made.push_back(std::make_unique<GpuSubject>(compute, INT_MAX));
    if (variety != Variety::devices) return made;
    for (const int multiprocessors : {1, 4}) {
      for (const ComputeType compute : {ComputeType::bf16, ComputeType::f16}) {
        made.push_back(std::make_unique<GpuSubject>(compute, multiprocessors));
      }
    }
    return made;
  }();
  return all;
}

}  // namespace magnets::test
