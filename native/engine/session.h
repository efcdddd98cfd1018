// One batch being decoded: ids, known flags, K/V cache, workspace; and one decode step.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "../backend.h"
#include "generator.h"

namespace magnets {

struct SessionOptions {
  std::vector<int32_t> ids;        // [samples, tokens] vocabulary ids; masked positions: what the model sees there
  std::vector<uint8_t> masked;     // [samples, tokens]
  std::vector<int32_t> class_ids;  // [samples] vocabulary ids
  std::optional<int32_t> null_class_id;  // set: guidance, a second branch of every sample without its class
  std::vector<int32_t> sample_keys;      // [samples] the sample's number in the noise
  uint64_t seed = 0;                     // of the noise
};

/// One row of a decode plan: finished numbers, nothing is recomputed here.
struct Step {
  Width width;
  bool refresh;                   // compute every row and rewrite the cache
  bool head_all;                  // run the head on every row, not only on the masked ones
  std::vector<int> masked_after;  // [samples]
  Sampling sampling;
  // Teacher forcing: [samples, tokens] of what becomes known instead of a sample, -1 where a position is left as it is.
  // Empty: sample.
  std::vector<int32_t> forced = {};
};

class Session {
 public:
  /// Memory for a batch; nothing can be computed before start.
  Session(std::shared_ptr<const Generator> generator, int samples, bool guided);
  /// Throws ERR_ARGUMENT when sizes or ids do not fit the generator.
  Session(std::shared_ptr<const Generator> generator, const SessionOptions& options);

  /// Begins with a new batch of as many samples and branches. What a device recorded for the batches before stays
  /// good. Throws ERR_ARGUMENT like the constructor.
  void start(const SessionOptions& options);

  int samples() const { return samples_; }
  bool guided() const { return branches_ > samples_; }

  /// Logits of the masked positions (with `head_all` of every row) under the sub-model `width`.
  void compute(const Width& width, bool refresh, bool head_all);

  /// compute, then samples the masked positions and reveals all but masked_after of them. On a device that runs by
  /// itself the step may still be under way on return; ids, masked and logits wait for it.
  void step(const Step& step);

  std::vector<int32_t> ids();     // [samples, tokens]
  std::vector<uint8_t> masked();  // [samples, tokens]
  std::vector<float> logits();    // [head rows, V] of the last step
  int head_rows() const { return head_rows_; }
  const Flops& flops() const { return stream_->flops; }

 private:
  void check_compute(const Width& width, bool refresh) const;
  void select(bool refresh, bool head_all);
  std::string key_of(const Width& width, bool refresh, bool head_all) const;
  void run(const Width& width, bool refresh, bool head_all);
  void sample_and_reveal(const Step& step);
  void force(const std::vector<int32_t>& tokens);
  Rows rows() const { return {*row_index_, selection_.row_start, tokens_ + 1}; }

  std::shared_ptr<const Generator> generator_;
  int samples_;
  int branches_;
  int tokens_;

  std::vector<int> masked_count_;    // per sample
  std::vector<int> revealed_count_;  // per sample, in the step before
  std::optional<Width> cached_width_;
  Selection selection_;
  int head_rows_ = 0;

  std::unique_ptr<Buffer> ids_, state_;               // [samples, tokens]
  std::unique_ptr<Buffer> class_ids_, noise_keys_;    // [1, branches], [3, samples]
  std::unique_ptr<Buffer> sampled_, confidence_;      // [samples, tokens]
  std::unique_ptr<Buffer> row_index_, head_index_;    // [1, branches * S]
  std::unique_ptr<Buffer> head_a_, head_b_, logits_;  // [head capacity, d], [.., d], [.., V]
  int head_capacity_ = 0;
  std::unique_ptr<KvCache> cache_;
  Workspace workspace_;
  std::unique_ptr<Stream> stream_;  // the first to go: then nothing runs any more
};

struct ForwardResult {
  std::vector<float> logits;  // [samples, tokens, V]
  Flops flops;
};

/// One pass over every row, nothing cached: what a plain masked transformer answers. ids: [samples, tokens].
ForwardResult forward(std::shared_ptr<const Generator> generator, const std::vector<int32_t>& ids,
                      const std::vector<int32_t>& class_ids, const Width& width);

}  // namespace magnets
