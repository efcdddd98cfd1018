#include "kernels.h"

#if defined(__x86_64__)
#include "x86_processor.h"
#endif

namespace magnets::cpu {

extern const Kernels kAvx512Kernels;
extern const Kernels kAvx2Kernels;
extern const Kernels kNeonKernels;
extern const Kernels kPortableKernels;

const std::vector<const Kernels*>& available_kernels() {
  static const std::vector<const Kernels*> kernels = [] {
    std::vector<const Kernels*> found;
#if defined(__x86_64__)
    const X86Processor processor = X86Processor::ask();
    if (processor.avx512) found.push_back(&kAvx512Kernels);
    if (processor.avx2) found.push_back(&kAvx2Kernels);
#elif defined(__aarch64__)
    found.push_back(&kNeonKernels);
#endif
    found.push_back(&kPortableKernels);
    return found;
  }();
  return kernels;
}

}  // namespace magnets::cpu
