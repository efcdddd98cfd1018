// The CPU as a backend.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "../ops/backend.h"

namespace magnets::cpu {

/// Instruction sets that this processor can run, best first; the last is "portable".
std::vector<std::string> instruction_sets();

/// `threads` >= 1 counts the thread that calls; where the system gives fewer, Backend::threads says how many there are.
/// `instruction_set`: one of instruction_sets(), or empty for the best.
/// Throws ERR_UNSUPPORTED for another.
std::unique_ptr<Backend> open_cpu(int threads, const std::string& instruction_set);

}  // namespace magnets::cpu
