#!/bin/sh
# Makes the networks in dfd_jax/zoo/. Run from the repository's root; the inputs are in ../shared.
# PORTRAITS: a folder of face photos in CelebA's layout, for the detectors (default: ../shared/portraits).
set -eu

# StarGAN: a checkpoint of the authors' own code, converted.
python -m converters stargan ../shared/weights/stargan_portraits_64-G.ckpt \
  dfd_jax/zoo/stargan.safetensors --float16 --input-size 64 \
  --condition Black_Hair Blond_Hair Brown_Hair Male Young \
  --info "trained_with=the authors' model and loss (github.com/yunjey/stargan @ 94dd002): batch 8, Adam 1e-4 (0.5, 0.999), n_critic 5, lambda_cls 1, lambda_rec 10, lambda_gp 10, 11905 iterations" \
  --info "trained_on=423 portrait photographs: centre crop 178, 64 px, horizontal flips" \
  --info "limits=small and briefly trained: attributes change as asked, with visible artefacts. It has seen every one of its photographs, test split included" \
  --info "purpose=to be defended against: it ships so that a disrupter can be trained and measured. Not for making pictures of people"

# GANimation and First Order Motion: photographs that are warped by their landmarks.
generator() {
  name=$1 workdir=$2
  shift 2
  python -m dfd_jax.train_generator --config "configs/generator_$name.py:photos" \
    --config.data.root="${PORTRAITS:-../shared/portraits}" --workdir "$workdir" "$@"
  cp "$workdir/generator.safetensors" "dfd_jax/zoo/$name.safetensors"
  cp "$workdir/generator.json" "dfd_jax/zoo/$name.json"
}
generator fomm runs/generator_fomm_photos
# GANimation in two parts: the second makes it paint more of the face instead of keeping the photo.
generator ganimation runs/generator_ganimation_photos
generator ganimation runs/generator_ganimation_more \
  --config.generator.start=runs/generator_ganimation_photos/generator.safetensors \
  --config.objective.attention=2 --config.train.steps=900

# Generators trained on pairs of drawn people, mixed with photographs. Drawing the people takes ten
# minutes per kind on one core; they are cached, and a training draws what the cache lacks.
for kind in attributes expressions motions; do
  python -m dfd_jax.data.drawn_pairs "$kind" 4000
done
# The shipped stargan_drawn is unfinished: its card has the three shorter runs that made it. The other
# two are not shipped yet.
# The face reader, with which these generators are measured.
python -m experiments.face_reader dfd_jax/zoo/face_reader.safetensors --people 2000 --steps 1500
drawn() {
  name=$1 workdir=$2
  shift 2
  python -m dfd_jax.train_generator --config "configs/generator_$name.py:drawn" \
    --config.data.root="${PORTRAITS:-../shared/portraits}" --workdir "$workdir" "$@"
}
zoo() {
  cp "$1/generator.safetensors" "dfd_jax/zoo/$2.safetensors"
  cp "$1/generator.json" "dfd_jax/zoo/$2.json"
}
drawn fomm runs/generator_fomm_drawn
zoo runs/generator_fomm_drawn fomm_drawn
# First on the targets alone, in half the time per step; then against a critic.
for name in stargan ganimation; do
  first=runs/generator_${name}_drawn_first
  drawn $name $first --config.train.critic_updates=0 --config.train.beta=0.9 \
    --config.data.photo_share=0.15 --config.data.photo_same=1.0 --config.train.steps=10000
  drawn $name runs/generator_${name}_drawn \
    --config.generator.start=$first/generator.safetensors --config.train.steps=10000
  zoo runs/generator_${name}_drawn ${name}_drawn
done

# Detectors: real photos and drawn faces against manipulations of them; no generator's output.
# Xception and the multi-attentional one are from shorter runs than the others; their cards say how they do.
train() {
  name=$1
  shift
  python -m dfd_jax.train_detector --config "configs/detector.py:$name" \
    --config.data.root="${PORTRAITS:-../shared/portraits}" --workdir "runs/detector_$name" "$@"
  cp "runs/detector_$name/detector.safetensors" "dfd_jax/zoo/$name.safetensors"
  cp "runs/detector_$name/detector.json" "dfd_jax/zoo/$name.json"
}
train resnet18
train resnet50
train xception --config.train.steps=800 --config.train.batch_size=16 --config.train.averaging=0.99 \
  --config.train.evaluate_every=100 --config.evaluate.pass_rate=0.97
train multi_attentional --config.train.steps=1000 --config.train.averaging=0.99 \
  --config.evaluate.pass_rate=0.97

# Perturber: through the files above, on the photographs' training split.
python -m dfd_jax.train --config configs/stargan.py:photos \
  --config.data.root="${PORTRAITS:-../shared/portraits}" --workdir runs/stargan_photos \
  --config.perturber.hyper.patch=1
python -m experiments.publish --workdir runs/stargan_photos --name stargan_photos \
  --zoo disrupter_stargan

# Perturbers for files of the networks' own size, one per generator and one for all of them. They
# and the one above are from before patches; the fast one has patches and one halving less.
perturber() {
  config=$1 name=$2
  shift 2
  python -m dfd_jax.train --config "configs/$config.py:photos" \
    --config.data.root="${PORTRAITS:-../shared/portraits}" --workdir "runs/$name" \
    --config.channel.crop_sides="(64,)" --config.evaluate.crop_side=64 \
    --config.evaluate.crop_sides="(64,128,178)" --config.evaluate.channels=False \
    --config.evaluate.detectors="$ALL" --config.driving.test_frames=2 \
    --config.objective.distance=log --config.objective.distortion=0.3 \
    --config.perturber.hyper.patch=1 "$@"
  python -m experiments.publish --workdir "runs/$name" --name "$name" --zoo "$name"
}
ALL="('zoo:xception','zoo:resnet18','zoo:resnet50','zoo:multi_attentional')"
perturber stargan disrupter_stargan_64 --config.data.poses=True --config.detectors="$ALL" \
  --config.objective.detector_weights="()" --config.objective.fake=1 --config.objective.real=0.3 \
  --config.objective.ramp=300 --config.train.steps=1500
perturber stargan disrupter_stargan_fast --config.data.poses=True --config.detectors="$ALL" \
  --config.objective.detector_weights="()" --config.objective.fake=1 --config.objective.real=0.3 \
  --config.objective.ramp=300 --config.train.steps=1500 \
  --config.perturber.hyper.patch=4 --config.perturber.hyper.depth=3
perturber stargan disrupter_stargan_quiet --config.detectors="$ALL" \
  --config.objective.detector_weights="()" --config.objective.fake=0.5 --config.objective.real=0.3 \
  --config.objective.ramp=200 --config.train.steps=700 --config.budget.eps_255=3 \
  --config.objective.eps_255=2.3 --config.objective.budget=200
perturber ganimation disrupter_ganimation --config.detectors="$ALL" \
  --config.objective.detector_weights="()" --config.objective.fake=1 --config.objective.real=0.5 \
  --config.objective.ramp=150 --config.train.steps=1000
perturber fomm disrupter_fomm --config.objective.fake=0.5 --config.objective.real=0.3 \
  --config.objective.ramp=100 --config.train.steps=500
perturber ensemble disrupter_ensemble --config.data.poses=True --config.detectors="$ALL" \
  --config.objective.detector_weights="()" --config.objective.fake=0.5 --config.objective.real=0.3 \
  --config.objective.ramp=150 --config.train.steps=500
