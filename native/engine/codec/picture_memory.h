// Memory that pictures of any size take in turn, within a call of a codec and from one call to the next: to get large
// blocks from the system anew for each level takes longer than some of its layers.
#pragma once

#include <array>
#include <memory>

#include "../../ops/backend.h"

namespace magnets {

/// Rows of activations, in memory that may be larger than they are.
struct PictureBuffer {
  std::unique_ptr<Buffer> rows;
  size_t bytes = 0;
};

class PictureMemory {
 public:
  /// For operations of `stream`. Of any content: in the smallest spare memory that is large enough, else in new memory,
  /// which takes the place of all that is spare. Throws what Backend::allocate does.
  PictureBuffer take(Backend& backend, Stream& stream, int rows, int channels);
  /// From now on it is spare. Of operations that are under way only those of the stream that takes it next may use it.
  void give(PictureBuffer picture) noexcept;
  /// Of all that is spare.
  size_t bytes() const;
  void clear() { spare_ = {}; }

 private:
  /// A block's pictures, those that it makes of them, and those half made: no more are ever in use.
  std::array<PictureBuffer, 3> spare_;
};

}  // namespace magnets
