// One block of a transformer at a nested width: attention and MLP, keys and values in a cache.
#pragma once

#include <memory>
#include <string>

#include "config.h"
#include "weights/loader.h"

namespace magnets {

/// Activations of one pass: x is the residual stream, the others are scratch; and, with modulation, what every pass of
/// the same classes reads.
struct Workspace {
  Workspace(Backend& backend, const TransformerConfig& config, int rows, int branches);
  /// Of all activations, as of each.
  void discard_rows(int first);

  std::unique_ptr<Buffer> x;           // [rows, d]
  std::unique_ptr<Buffer> q;           // [rows, heads * head_dim]
  std::unique_ptr<Buffer> mixed;       // [rows, heads * head_dim], attention's output
  std::unique_ptr<Buffer> hidden;      // [rows, f], the MLP's
  std::unique_ptr<Buffer> normalized;  // [rows, d], x under a modulated norm
  /// f32 [branches, 6 d] for every block, the vectors of its two norms; then [branches, 2 d] for the norm after the
  /// last.
  std::vector<std::unique_ptr<Buffer>> modulation;
};

class Block {
 public:
  /// Asks for the tensors `prefix`attention.…, `prefix`mlp.… and, with modulation, `prefix`modulation.…; the products
  /// of attention and MLP have this grain.
  Block(const BlockConfig& config, const std::string& prefix, Grain grain, Loader& loader);

  /// Runs the first heads and hidden units over `rows`, in place on workspace.x. `input` is x as the block before left
  /// it; the answer is x as the next one reads it. Keys and values of the rows go into the cache of `layer` first, so
  /// attention sees them beside those that other rows left there.
  Input run(const Width& width, const Rows& rows, int layer, Input input, KvCache& cache, Workspace& workspace,
            Stream& stream) const;

  /// y [branches, 6 d] from the classes' vectors [branches, d].
  void modulate(const Buffer& classes, int branches, Buffer& y, Stream& stream) const;

 private:
  BlockConfig config_;
  std::unique_ptr<Linear> query_, key_, value_, output_;
  std::unique_ptr<Linear> gate_, up_, down_;
  Norm attention_norm_, mlp_norm_;      // without modulation
  std::unique_ptr<Linear> modulation_;  // with it
};

}  // namespace magnets
