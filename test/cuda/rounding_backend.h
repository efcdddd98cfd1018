// The CPU backend with every activation rounded to bf16 or f16 as it is stored: what the plain computation in that type
// loses. Weights are rounded too.
#pragma once

#include <memory>

#include "../../native/backend.h"

namespace magnets::test {

std::unique_ptr<Backend> open_rounding(DType dtype);

}  // namespace magnets::test
