// What libmagnets_cuda.so exports, as the addon finds it.
#include "../../native/cuda/library.h"
#include "../native/check.h"

using namespace magnets;
using namespace magnets::test;

extern "C" const cuda::Library magnets_cuda_library;

int main() {
  const auto subject = subjects(Variety::none)[0]->open();  // chooses the emulated device
  const cuda::Library& library = magnets_cuda_library;
  check(library.abi == std::string(MAGNETS_ABI) && library.version == std::string(MAGNETS_VERSION),
        "the library says what it was built from");
  char reason[64] = "";
  check(library.count(reason, sizeof reason) == 1 && reason[0] == '\0', "one device");
  check(library.describe(0).capability == 80 && library.describe(0).driver == 13000, "what it is");
  const std::unique_ptr<Backend> backend(library.open(0, ComputeType::bf16, {}));
  check(backend->name() == "cuda:0" && backend->threads() == 1 && backend->concurrent(), "the backend of a device");
  check(error_of([&] { library.open(1, ComputeType::bf16, {}); }) ==
            "ERR_UNSUPPORTED Expected a device below cuda:1 but received cuda:1",
        "a device that is not there");
  check(error_of([&] { library.open(0, ComputeType::f32, {}); }) ==
            "ERR_UNSUPPORTED Expected bf16 or f16 for compute on a CUDA device but received f32",
        "f32");
  return report("library");
}
