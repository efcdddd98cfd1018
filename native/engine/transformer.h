// The stack of layers: attention and MLP at a nested width, keys and values in a cache.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "../backend.h"
#include "config.h"
#include "weights.h"

namespace magnets {

/// Activations of one pass. x is the residual stream; the others are scratch.
struct Workspace {
  Workspace(Backend& backend, const TransformerConfig& config, int rows);
  std::unique_ptr<Buffer> x;  // [rows, d]
  std::unique_ptr<Buffer> y;  // [rows, d]
  std::unique_ptr<Buffer> q;  // [rows, heads * head_dim], as attention's output
  std::unique_ptr<Buffer> a;
  std::unique_ptr<Buffer> hidden;  // [rows, f]
};

class Transformer {
 public:
  /// Reads `prefix`layers.{i}.… and, with pre-LN, `prefix`norm.
  Transformer(const TransformerConfig& config, const std::string& prefix, Loader& loader);

  const TransformerConfig& config() const { return config_; }

  /// Runs the first heads and hidden units of every layer over `rows`, in place on workspace.x. Keys and values of the
  /// rows are written to the cache first, so attention sees them beside those that other rows left there.
  /// `codec`: count every FLOP as the codec's.
  void run(const Width& width, const Rows& rows, KvCache& cache, Workspace& workspace, Stream& stream,
           bool codec = false) const;

  /// The norm after the last layer; null with post-LN, which has none.
  const Norm* final_norm() const { return config_.pre_norm ? &norm_ : nullptr; }

  std::unique_ptr<KvCache> cache(Backend& backend, int branches, int positions) const;

 private:
  struct Layer {
    std::unique_ptr<Linear> query, key, value, output;
    Norm attention_norm;
    std::unique_ptr<Linear> up, down;
    Norm mlp_norm;
  };

  TransformerConfig config_;
  std::vector<Layer> layers_;
  Norm norm_{};
};

}  // namespace magnets
