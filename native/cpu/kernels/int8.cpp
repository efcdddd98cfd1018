#include "int8.h"

#include <string_view>

#if defined(__x86_64__)
#include "x86_processor.h"
#elif defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace magnets::cpu {

extern const Int8Kernels kInt8Avx512VnniKernels;
extern const Int8Kernels kInt8Avx512Kernels;
extern const Int8Kernels kInt8AvxVnniKernels;
extern const Int8Kernels kInt8Avx2Kernels;
extern const Int8Kernels kInt8NeonDotprodKernels;
extern const Int8Kernels kInt8PortableKernels;

namespace {

#if defined(__aarch64__)
bool has_dot_products() {
#if defined(__linux__)
  return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
#else
  return true;  // every Mac with such a processor
#endif
}
#endif

/// Those of this processor that an instruction set allows.
std::vector<const Int8Kernels*> kernels_of([[maybe_unused]] std::string_view instruction_set) {
  std::vector<const Int8Kernels*> found;
#if defined(__x86_64__)
  if (instruction_set == "avx512") {
    if (X86Processor::ask().avx512_vnni) found.push_back(&kInt8Avx512VnniKernels);
    found.push_back(&kInt8Avx512Kernels);
  }
  if (instruction_set == "avx2") {
    if (X86Processor::ask().avx_vnni) found.push_back(&kInt8AvxVnniKernels);
    found.push_back(&kInt8Avx2Kernels);
  }
#elif defined(__aarch64__)
  if (instruction_set == "neon" && has_dot_products()) found.push_back(&kInt8NeonDotprodKernels);
#endif
  found.push_back(&kInt8PortableKernels);
  return found;
}

}  // namespace

const std::vector<const Int8Kernels*>& available_int8_kernels() {
  static const std::vector<const Int8Kernels*> kernels = [] {
    std::vector<const Int8Kernels*> found;
    for (const Kernels* set : available_kernels()) {
      for (const Int8Kernels* one : kernels_of(set->name)) {
        if (one != &kInt8PortableKernels || set == available_kernels().back()) found.push_back(one);
      }
    }
    return found;
  }();
  return kernels;
}

const Int8Kernels& int8_kernels(const Kernels& kernels) { return *kernels_of(kernels.name).front(); }

}  // namespace magnets::cpu
