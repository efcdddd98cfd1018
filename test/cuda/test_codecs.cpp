// Every kind of codec on the CUDA backend, beside the CPU backend in f32: latents and pixels are as near as the plain
// computation in the same type comes, and tokens are the same but for near ties.
#include "../../native/cpu/cpu_backend.h"
#include "../../native/engine/codec/conv.h"
#include "../../native/engine/codec/titok.h"
#include "../../native/engine/codec/vit.h"
#include "../native/check.h"
#include "../native/codecs.h"
#include "large_weights.h"
#include "precision.h"
#include "rounding_backend.h"

using namespace magnets;
using namespace magnets::test;

namespace {

template <class AnyCodec, class Config>
void tokenizes_like_the_cpu(const Subject& subject, const Config& config, size_t sample_size) {
  const WeightFormat format = subject.formats()[0];
  const auto open = [&](const std::shared_ptr<Backend>& backend, WeightFormat kept) {
    LargeWeights weights;
    return load_model<AnyCodec>(backend, config, weights, kept);
  };
  const auto cuda = open(subject.open(), format), exact = open(cpu::open_cpu(1, ""), {WeightFormat::Values::f32}),
             plain = open(open_rounding(compute_of(format)), format);
  Random random(5);
  std::vector<float> pixels(3 * sample_size);
  for (float& pixel : pixels) pixel = static_cast<float>(0.5 + 0.5 * random.value());
  const auto near = [](const std::string& what, const auto& actual, const auto& rounded, const auto& expected) {
    const double error = distance(actual.values, expected.values);
    const double bound = 3 * distance(rounded.values, expected.values) + 1e-6;
    check(error <= bound, what + " off by " + std::to_string(error) + ", bound " + std::to_string(bound));
    check(actual.flops == expected.flops, "FLOPs of " + what);
  };
  const auto latents = exact->encode(pixels, 3);
  near("latents", cuda->encode(pixels, 3), plain->encode(pixels, 3), latents);
  const auto tokens = exact->quantize(latents.values, 3), own = cuda->quantize(latents.values, 3);
  int same = 0;
  for (size_t i = 0; i < tokens.values.size(); ++i) same += own.values[i] == tokens.values[i];
  check(same * 10 >= static_cast<int>(tokens.values.size()) * 9, "tokens, but for near ties: " + std::to_string(same));
  check(own.flops == tokens.flops, "FLOPs of tokens");
  near("pixels", cuda->detokenize(tokens.values, 3), plain->detokenize(tokens.values, 3),
       exact->detokenize(tokens.values, 3));
}

}  // namespace

int main() {
  const auto& all = subjects(Variety::types);
  for (const auto& subject : all) {
    // The kernels of both types touch the same memory in the same order.
    if (subject->watched() && subject != all[0]) continue;
    tokenizes_like_the_cpu<Vit>(*subject, vit_config(), vit_config().sample_size());
    for (const bool all : {false, true}) {
      const ConvConfig config = conv_config(all);
      tokenizes_like_the_cpu<Conv>(*subject, config, config.levels.sample_size());
    }
    tokenizes_like_the_cpu<Titok>(*subject, titok_config(), titok_config().vit.sample_size());
  }
  return report("codecs");
}
