// What a thread needs before it may throw where there is no memory.
#pragma once

#include <cstdlib>
#include <exception>

namespace magnets {

/// Makes what exceptions keep for each thread, before this one throws its first: where there is no memory then, the C
/// library ends the process. False where there is none now, so that nothing may throw here.
inline bool prepare_exceptions() {
  // More than it takes, given back to this thread's own store, from which it is taken next. Volatile: compilers may
  // leave out memory and calls whose results nobody uses.
  void* volatile room = std::malloc(256);
  if (room == nullptr) return false;
  std::free(room);
  [[maybe_unused]] volatile const int none = std::uncaught_exceptions();
  return true;
}

}  // namespace magnets
