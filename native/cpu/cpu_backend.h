// The CPU as a backend.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "../backend.h"

namespace magnets::cpu {

/// Instruction sets that this processor can run, best first; the last is "portable".
std::vector<std::string> instruction_sets();

/// `threads` >= 1 counts the thread that calls. `instruction_set`: one of instruction_sets(), or empty for the best.
/// Throws ERR_UNSUPPORTED for another.
std::unique_ptr<Backend> open_cpu(int threads, const std::string& instruction_set);

}  // namespace magnets::cpu
