// The CUDA backend on emulated devices, so that together they take every path: few multiprocessors choose large tiles,
// many choose small ones and split them, and sm_90 has kernels of its own.
//
// EMULATOR_ORDER: forward, reverse or random; EMULATOR_ASYNC: lazy or eager; EMULATOR_SEED: of the random order;
// EMULATOR_SUBJECT: tests are run on the devices alone whose names have it.
#include <cstdlib>
#include <string>

#include "../../../native/cuda/cuda_backend.h"
#include "../device_hooks.h"
#include "../precision.h"
#include "cuda_runtime.h"

namespace magnets::test {

namespace {

class EmulatedSubject : public CudaSubject {
 public:
  EmulatedSubject(emulator::Device device, ComputeType compute) : CudaSubject(compute), device_(device) {}
  std::string name() const override {
    return "sm_" + std::to_string(10 * device_.major + device_.minor) + " with " +
           std::to_string(device_.multiprocessors) + " multiprocessors, " + name_of(compute_);
  }
  std::unique_ptr<Backend> open(int) const override {
    emulator::device = device_;
    return cuda::open(0, compute_);
  }
  bool slow() const override { return true; }
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
  bool watched() const override { return true; }
#endif

 private:
  emulator::Device device_;
};

std::string variable(const char* name, const char* otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : otherwise;
}

void read_environment() {
  const std::string order = variable("EMULATOR_ORDER", "forward");
  emulator::options.order = order == "reverse"  ? emulator::Order::reverse
                            : order == "random" ? emulator::Order::random
                                                : emulator::Order::forward;
  emulator::options.lazy = variable("EMULATOR_ASYNC", "lazy") != "eager";
  emulator::options.seed = static_cast<unsigned>(std::stoul(variable("EMULATOR_SEED", "1")));
}

}  // namespace

LittleMemory::LittleMemory() : taken_(new size_t(emulator::free_memory)) { emulator::free_memory = 20000; }
LittleMemory::~LittleMemory() {
  auto* before = static_cast<size_t*>(taken_);
  emulator::free_memory = *before;
  delete before;
}

const std::vector<std::unique_ptr<Subject>>& subjects(Variety variety) {
  static const auto all = [&] {
    read_environment();
    const std::string wanted = variable("EMULATOR_SUBJECT", "");
    std::vector<std::unique_ptr<Subject>> made;
    const auto add = [&](emulator::Device device, ComputeType compute) {
      auto subject = std::make_unique<EmulatedSubject>(device, compute);
      if (subject->name().find(wanted) != std::string::npos) made.push_back(std::move(subject));
    };
    add({8, 0, 1}, ComputeType::bf16);
    if (variety == Variety::none) return made;
    add({8, 9, 40}, ComputeType::f16);
    if (variety == Variety::types) return made;
    add({9, 0, 1}, ComputeType::f16);
    add({9, 0, 4}, ComputeType::bf16);
    return made;
  }();
  return all;
}

}  // namespace magnets::test
