"""Formats of video files: what is read, what is listed from folders, and what is barred for which reason.

A format is a demuxer of FFmpeg. Read are those that keep to one file, decode what FFmpeg itself encodes and are in wide
use; everything else is barred, since a demuxer that hardly anybody tests is a door for hostile files.
"""

from typing import Final


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# Demuxers that read a video; those of the last line read sound alone, to tell "audio only" from "not a video".
FORMATS: Final = _words(
    "mov mp4 m4a 3gp 3g2 mj2 matroska webm avi gif apng mpegts mpeg mpegvideo m4v flv swf asf ogg rm mxf gxf nut wtv "
    "dv ivf obu h261 h263 h264 hevc vvc mjpeg smjpeg yuv4mpegpipe "
    "wav mp3 flac aac aiff"
)

# Suffixes of files that are listed from a folder. Others that may hold a video (dat, mod, ogg, bin, tmp) mostly hold
# something else; `--suffixes` lists them too.
SUFFIXES: Final = _words(
    "mp4 m4v mov qt 3gp 3g2 f4v ismv mkv mk3d webm avi divx gif apng ts m2t mts m2ts trp tod mpg mpeg mpe m1v m2v mpv "
    "vob wmv asf flv swf ogv ogm rm rmvb dv dif mxf gxf nut wtv ivf obu y4m h264 264 hevc h265 265 mjpg mjpeg"
)

# Reason -> the demuxers that are barred for it.
BARRED: Final = {
    "reads what the file names: other files or addresses": _words(
        "concat hls webm_dash_manifest image2 sdp rtsp rtp sap vobsub"
    ),
    "a device or a generator, not a file": _words("alsa fbdev kmsgrab lavfi oss video4linux2 v4l2 x11grab"),
    "has no header: any bytes would be pictures or sound": _words(
        "data rawvideo bitpacked v210 v210x mpegtsraw image2pipe bin codec2raw"
    ),
    "still images and drawings in text; images belong into an image folder": _words(
        "bmp_pipe cri_pipe dds_pipe dpx_pipe exr_pipe gem_pipe gif_pipe hdr_pipe j2k_pipe jpeg_pipe jpegls_pipe "
        "jpegxl_pipe jpegxs_pipe pam_pipe pbm_pipe pcx_pipe pfm_pipe pgm_pipe pgmyuv_pipe pgx_pipe phm_pipe "
        "photocd_pipe pictor_pipe png_pipe ppm_pipe psd_pipe qdraw_pipe qoi_pipe sgi_pipe sunrast_pipe svg_pipe "
        "tiff_pipe vbn_pipe webp_pipe xbm_pipe xpm_pipe xwd_pipe ico fits alias_pix brender_pix msp txd adf idf "
        "xbin tty jpegxl_anim"
    ),
    "subtitles and other text": _words(
        "aqtitle ass dvbsub dvbtxt ffmetadata jacosub lrc mcc microdvd mpl2 mpsub pjs rcwt realtext sami sbg scc "
        "srt stl subviewer subviewer1 sup tedcaptions vplayer webvtt"
    ),
    "cut-scenes of games and consoles: demuxers that hardly anybody tests": _words(
        "3dostr 4xm anm avs bethsoftvid bfi bink bmv c93 cdg cdxl dcstr derf dfa dsicin dxa ea ea_cdata film_cpk "
        "filmstrip flic frm gdv hnm idcin iff ipmovie ipu iss iv8 ivr jv lmlm4 mgsts mm mods moflex mtv mv mvi paf "
        "pdv pmp psxstr rl2 roq rpl sdr2 sga siff smk smush thp tiertexseq tmv usm vividas vmd wc3movie wsvqa xmv "
        "yop"
    ),
    "not tried: no such file could be made here, or another demuxer reads it": _words(
        "apv av1 avs2 avs3 asf_o cavsvideo cine dhav dirac dnxhd evc hxvs ifv ingenient kux live_flv lvf lxf luodat "
        "mjpeg_2000 mlv mpjpeg msnwctcp mxg nc nsv nuv pva r3d ser simbiosis_imx ty vc1 vc1test vivo"
    ),
    "sound without pictures": _words(
        "aa aax ac3 ac4 ace acm act adp ads adx aea afc aix alaw alp amr amrnb amrwb apac apc ape apm aptx aptx_hd "
        "argo_asf argo_brp argo_cvg ast au avr bfstm binka bit boa bonk brstm caf codec2 daud dfpwm dsf dss dts "
        "dtshd eac3 epaf f32be f32le f64be f64le fsb fwse g722 g723_1 g726 g726le g728 g729 genh gsm hca hcom iamf "
        "ilbc ircam kvag laf lc3 loas mca mlp mmf mpc mpc8 msf mtaf mulaw musx nistsphere nsp oma osq pp_bnk pvf "
        "qcp qoa redspark rka rsd rso s16be s16le s24be s24le s32be s32le s337m s8 sbc scd sdns sds sdx shn sln sol "
        "sox spdif svag svs tak truehd tta u16be u16le u24be u24le u32be u32le u8 vag vidc voc vpk vqf w64 wady "
        "wavarc wsaud wsd wv wve xa xmd xvag xwma"
    ),
}
