// Integers to whole multiples of others.
#pragma once

#include <cstddef>

namespace magnets::cuda {

constexpr int divide_up(int value, int by) { return (value + by - 1) / by; }

constexpr size_t round_up(size_t value, size_t multiple) { return (value + multiple - 1) / multiple * multiple; }

}  // namespace magnets::cuda
