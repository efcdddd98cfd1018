#include "make_codec.h"

#include "conv.h"
#include "titok.h"
#include "vit.h"

namespace magnets {

namespace {

/// The class that a kind of config is for.
template <class Config>
struct ClassOf;
template <>
struct ClassOf<VitConfig> {
  using Type = Vit;
};
template <>
struct ClassOf<ConvConfig> {
  using Type = Conv;
};
template <>
struct ClassOf<TitokConfig> {
  using Type = Titok;
};

}  // namespace

std::shared_ptr<const Codec> make_codec(const std::shared_ptr<Backend>& backend, const CodecConfig& config,
                                        WeightSource& source, WeightFormat format) {
  return std::visit(
      [&]<class Config>(const Config& known) -> std::shared_ptr<const Codec> {
        return load_model<typename ClassOf<Config>::Type>(backend, known, source, format);
      },
      config);
}

std::shared_ptr<const Codec> codec_without_weights(const std::shared_ptr<Backend>& backend, const CodecConfig& config,
                                                   WeightFormat format) {
  ListingLoader listing(format);
  return std::visit(
      [&]<class Config>(const Config& known) -> std::shared_ptr<const Codec> {
        return std::make_shared<const typename ClassOf<Config>::Type>(backend, known, listing);
      },
      config);
}

std::vector<TensorShape> codec_tensors(const CodecConfig& config) {
  return std::visit([]<class Config>(const Config& known) { return tensors_of<typename ClassOf<Config>::Type>(known); },
                    config);
}

}  // namespace magnets
