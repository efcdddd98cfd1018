// The stack of blocks that generator, encoder and decoder share.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "block.h"

namespace magnets {

class Transformer {
 public:
  /// Asks for the tensors `prefix`layers.{i}.… and, with pre-norm, `prefix`norm and, with modulation,
  /// `prefix`modulation. The products of the blocks have this grain.
  Transformer(const TransformerConfig& config, const std::string& prefix, Grain grain, Loader& loader);

  const TransformerConfig& config() const { return config_; }
  std::unique_ptr<KvCache> cache(Backend& backend, int branches, int positions) const;

  /// With modulation: writes workspace.modulation from the classes' vectors [branches, d]. The stack runs with these.
  void modulate(const Buffer& classes, int branches, Workspace& workspace, Stream& stream) const;

  /// Runs the first heads and hidden units of every block over `rows`, in place on workspace.x. The answer is x as it
  /// leaves the stack, under the norm after the last block where there is one.
  Input run(const Width& width, const Rows& rows, KvCache& cache, Workspace& workspace, Stream& stream) const;

 private:
  TransformerConfig config_;
  std::vector<Block> blocks_;
  Norm final_norm_{};                         // pre-norm alone
  std::unique_ptr<Linear> final_modulation_;  // instead of it, with modulation
};

}  // namespace magnets
