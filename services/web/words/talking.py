"""The words of conversations: with the seller, and with customer service."""

WORDS = {
    "inbox.empty": (
        "Belum ada percakapan. Buka sebuah pesanan lalu tekan Chat Seller.",
        "No conversations yet. Open an order and press Chat Seller.",
    ),
    "inbox.empty.seller": ("Belum ada pembeli yang menulis.", "No buyer has written yet."),
    "chat.online": ("Sedang aktif", "Online"),
    "chat.offline": ("Tidak aktif", "Offline"),
    "chat.log": ("Percakapan", "Conversation"),
    "chat.blank": (
        "Belum ada pesan. Tulis ke penjual mengapa pesanan ini ingin dibatalkan; jawabannya muncul di sini.",
        "No messages yet. Tell the seller why you want to cancel this order; the answer appears here.",
    ),
    "chat.blank.seller": ("Belum ada pesan dari pembeli.", "The buyer has not written yet."),
    "chat.write": ("Tulis pesan", "Write a message"),
    "chat.send": ("Kirim", "Send"),
    "chat.you": ("Anda", "You"),
    "chat.them": ("Lawan bicara", "The other one"),
    "chat.earlier": ("Tampilkan pesan sebelumnya", "Show earlier messages"),
    "chat.quick": ("Balasan cepat", "Quick replies"),
    "chat.guide": ("Kirim panduan", "Send the guide"),
    "chat.guide.hint": (
        "Panduan menjawab pesan pembeli: kartu yang membuka Batalkan pesanan untuk pesanan ini.",
        "The guide answers a message of the buyer: a card that opens Cancel order for this order.",
    ),
    "chat.cancel": ("Batalkan sendiri", "Cancel it yourself"),
    "chat.pending": (
        "Pembatalan diminta; menunggu keputusan…",
        "The cancellation was asked for; waiting for the decision…",
    ),
    "sellercancel.title": ("Batalkan pesanan ini sebagai penjual?", "Cancel this order as the seller?"),
    "sellercancel.consequence": (
        "Pembatalan oleh penjual dihitung atas nama Anda. Skor turun dari {before} menjadi {after}; "
        "tingkat pembatalan naik dari {rate} menjadi {after_rate}.",
        "A cancellation by the seller counts against you. The score falls from {before} to {after}; "
        "the cancellation rate rises from {rate} to {after_rate}.",
    ),
    "sellercancel.instead": (
        "Bila pembeli yang ingin batal, kirim panduan: pembeli membatalkan sendiri dan skor Anda tetap.",
        "If the buyer wants to cancel, send the guide: the buyer cancels, and your score stays.",
    ),
    "sellercancel.reason": ("Alasan (opsional)", "Reason (optional)"),
    "sellercancel.submit": ("Ya, batalkan dan terima akibatnya", "Yes, cancel and take the consequence"),
    "guide.title": ("Cara membatalkan pesanan ini", "How to cancel this order"),
    "guide.text": (
        "Buka pesanannya, tekan Batalkan pesanan, pilih alasannya bila mau, lalu konfirmasi. "
        "Uang yang sudah dibayar dikembalikan sepenuhnya.",
        "Open the order, press Cancel order, choose a reason if you like, and confirm. "
        "What was paid comes back in full.",
    ),
    "guide.over": ("Pesanan ini tidak bisa dibatalkan di sini lagi.", "This order can no longer be cancelled here."),
    "guide.sent": ("Panduan dikirim ke pembeli.", "The guide was sent to the buyer."),
    "error.guide_unasked": (
        "Panduan menjawab pesan pembeli. Tunggu sampai pembeli menulis.",
        "A guide answers a message of the buyer. Wait until the buyer writes.",
    ),
    "notice.asked": (
        "Pembatalan diminta. Hasilnya muncul di sini.",
        "Cancellation requested. The outcome appears here.",
    ),
    "said.order_cancelled": (
        "Pesanan dibatalkan {by}. Uang yang sudah dibayar dikembalikan sepenuhnya.",
        "The order was cancelled {by}. What was paid comes back in full.",
    ),
    "said.order_cancelled.silent": (
        "Pesanan dibatalkan otomatis: penjual tidak memproses dan tidak menjawab dalam 24 jam.",
        "The order was cancelled automatically: the seller neither processed it nor answered in 24 hours.",
    ),
    "said.order_cancelled.not_paid": (
        "Pesanan dibatalkan otomatis karena belum dibayar sampai batas waktunya.",
        "The order was cancelled automatically, because it was not paid in time.",
    ),
    "by.app": ("oleh pembeli lewat aplikasi", "by the buyer, in the app"),
    "by.web": ("oleh pembeli lewat situs web", "by the buyer, on the website"),
    "by.chat": ("oleh penjual", "by the seller"),
    "by.cs": ("oleh layanan pelanggan", "by customer service"),
    "by.system": ("otomatis oleh sistem", "automatically"),
    "said.cancel_rejected": ("Tidak jadi dibatalkan: {why}", "Not cancelled: {why}"),
    "why.already_shipped": ("pesanan sudah dikirim.", "the order has shipped."),
    "why.already_cancelled": ("pesanan sudah dibatalkan.", "the order is cancelled already."),
    "why.window_closed": ("batas waktu 1 × 24 jam sudah lewat.", "the limit of 1 × 24 hours has passed."),
    "why.not_found": ("pesanan tidak ditemukan.", "the order was not found."),
    "said.refund_issued": (
        "Uang {amount} sudah kembali sepenuhnya ke {destination}.",
        "{amount} came back in full, to {destination}.",
    ),
    "said.refund_delayed": (
        "Pengembalian uang ke {destination} tertunda. Sistem mencoba terus sampai berhasil.",
        "The refund to {destination} is late. The system goes on trying until it succeeds.",
    ),
    "said.seller_contacted.chat": (
        "Layanan pelanggan bertanya: “{question}” Jawab di sini, kemas atau kirim sebelum {until}; "
        "kalau tidak, pesanan dibatalkan otomatis.",
        "Customer service asks: “{question}” Answer here, pack or ship before {until}; "
        "otherwise the order is cancelled automatically.",
    ),
    "said.seller_contacted.cs": (
        "Penjual sudah dihubungi dan punya waktu sampai {until} untuk menjawab atau memproses pesanan.",
        "Customer service has asked the seller, who has until {until} to answer or to process the order.",
    ),
    "said.case_closed.chat": (
        "Layanan pelanggan menutup kasus ini: {outcome}.",
        "Customer service has closed the case: {outcome}.",
    ),
    "said.case_closed.cs": (
        "Percakapan ditutup: {outcome}. Silakan beri nilai.",
        "The conversation was closed: {outcome}. Please rate it.",
    ),
    "said.nobody_on_duty": (
        "Saat ini tidak ada petugas yang bertugas. Anda tetap di antrean dan disambungkan begitu ada.",
        "No agent is on duty right now. You keep your place and are connected as soon as there is one.",
    ),
    "said.agent_left": (
        "Petugas sudah tidak bertugas. Anda disambungkan dengan petugas lain secepatnya.",
        "The agent is off duty now. You will be connected with another one as soon as possible.",
    ),
    "said.seller_silent": (
        "Penjual tidak menjawab dan tidak memproses pesanan dalam 24 jam. Pesanan akan dibatalkan.",
        "The seller neither answered nor processed the order in 24 hours. The order is being cancelled.",
    ),
    "said.agent_joined": ("{name} bergabung.", "{name} has joined."),
    "said.order_handed_over": ("Pesanan {short} dibagikan.", "Order {short} was shared."),
    "said.seller_replied": (
        "Penjual sudah menjawab. Pesanan tidak dibatalkan; petugas melanjutkan.",
        "The seller has answered. Nothing is cancelled; the agent goes on.",
    ),
    "said.order_packed": (
        "Penjual sudah mengemas pesanan. Pesanan tidak dibatalkan.",
        "The seller has packed the order. Nothing is cancelled.",
    ),
    "said.order_shipped": (
        "Penjual sudah mengirim pesanan. Pesanan tidak dibatalkan.",
        "The seller has shipped the order. Nothing is cancelled.",
    ),
    "said.seller_too_late": (
        "Penjual baru menanggapi setelah 24 jam lewat.",
        "The seller reacted only after the 24 hours.",
    ),
    "outcome.order_cancelled": ("pesanan dibatalkan", "the order was cancelled"),
    "outcome.seller_answered": ("penjual sudah menjawab", "the seller has answered"),
    "outcome.order_processed": ("pesanan sudah diproses penjual", "the seller has processed the order"),
    "outcome.answered": ("pertanyaan sudah dijawab", "the question was answered"),
    "outcome.withdrawn": ("pembeli menarik laporannya", "the buyer took the complaint back"),
    "help.q1": ("Bagaimana cara membatalkan pesanan?", "How do I cancel an order?"),
    "help.a1": (
        "Buka Akun, pilih pesanan yang Sedang diproses atau Dikemas, tekan Batalkan pesanan. "
        "Bisa sampai 1 × 24 jam setelah memesan dan sebelum dikirim. Alasan boleh dilewati.",
        "Open Account, choose an order that is being processed or packed, press Cancel order. "
        "This is possible for 1 × 24 hours after ordering and before it ships. The reason may be skipped.",
    ),
    "help.q2": ("Ke mana uang saya kembali?", "Where does my money go?"),
    "help.a2": (
        "Sepenuhnya ke Lazada Kredit, atau ke DANA bila dompet DANA sudah dihubungkan.",
        "All of it to your Lazada Credit, or to DANA if a DANA wallet is linked.",
    ),
    "help.q3": ("Sudah lewat 24 jam, bagaimana?", "The 24 hours have passed. What now?"),
    "help.a3": (
        "Tulis ke penjual lewat Chat Seller. Bila penjual diam, mulai Live Chat di atas.",
        "Write to the seller with Chat Seller. If the seller stays silent, start a Live Chat above.",
    ),
    "help.live": ("Live Chat", "Live Chat"),
    "help.live.lead": (
        "Bicara dengan petugas. Anda melihat nomor antrean sampai tersambung.",
        "Talk to an agent. You see your place in the queue until you are connected.",
    ),
    "help.describe": ("Ada masalah apa?", "What is wrong?"),
    "help.start": ("Mulai Live Chat", "Start Live Chat"),
    "help.open": ("Live Chat Anda masih berjalan.", "Your Live Chat is still open."),
    "help.continue": ("Lanjutkan", "Go on"),
    "help.past": ("Percakapan sebelumnya", "Earlier conversations"),
    "case.position": ("Anda nomor {position} di antrean", "You are number {position} in the queue"),
    "case.agents": ("Petugas yang bertugas: {count}", "Agents on duty: {count}"),
    "case.state.waiting": ("Menunggu petugas", "Waiting for an agent"),
    "case.state.active": ("Terhubung", "Connected"),
    "case.state.awaiting_seller": ("Menunggu penjual", "Waiting for the seller"),
    "case.state.seller_replied": ("Penjual menanggapi", "The seller has reacted"),
    "case.state.cancelling": ("Sedang dibatalkan", "Being cancelled"),
    "case.state.resolved": ("Selesai", "Resolved"),
    "case.state.closed": ("Ditutup", "Closed"),
    "case.with": ("Anda berbicara dengan {name}.", "You are talking to {name}."),
    "case.countdown": (
        "Penjual punya waktu {left} lagi. Tanpa jawaban, pesanan dibatalkan otomatis.",
        "The seller has {left} left. Without an answer the order is cancelled automatically.",
    ),
    "case.cancelling": (
        "Waktu penjual habis. Pesanan sedang dibatalkan.",
        "The seller's time is up. The order is being cancelled.",
    ),
    "case.handover": ("Bagikan pesanan", "Share the order"),
    "case.choose": ("Pesanan yang mana?", "Which order?"),
    "case.no_orders": ("Tidak ada pesanan yang masih bisa dibatalkan.", "There is no order that could be cancelled."),
    "case.order": ("Pesanan yang dibicarakan", "The order in question"),
    "case.rate": ("Bagaimana bantuan kami?", "How was our help?"),
    "case.stars": ("{count} dari 5", "{count} of 5"),
    "case.rate.submit": ("Kirim nilai", "Send rating"),
    "case.rated": ("Nilai Anda: {count} dari 5. Terima kasih!", "Your rating: {count} of 5. Thank you!"),
    "case.outcome": ("Hasil: {outcome}", "Outcome: {outcome}"),
    "notice.rated": ("Terima kasih atas nilainya.", "Thank you for the rating."),
    "error.already_rated": ("Percakapan ini sudah dinilai.", "This conversation was rated already."),
    "error.case_over": ("Percakapan ini sudah selesai.", "This conversation is over."),
    "error.case_not_over": ("Nilai bisa diberikan setelah selesai.", "It can be rated when it is over."),
}
