// The CPU backend with every activation rounded to bf16 or f16 as it is stored: what the plain computation in that type
// loses. Weights are rounded too.
#pragma once

#include <memory>

#include "../../native/ops/backend.h"

namespace magnets::test {

std::unique_ptr<Backend> open_rounding(ComputeType type);

}  // namespace magnets::test
