"""Names as they are common in Indonesia, for people who do not exist."""

_MEN = """
Abdul Aditya Agung Agus Ahmad Aji Akbar Aldi Alfian Ali Amir Andi Andika Anton Ardi Ari Arief Arif Asep Bagas Bagus Bambang
Bayu Beni Budi Cahyo Candra Dadang Danang Dani David Dedi Deni Dian Dicky Dimas Dodi Doni Dwi Edi Edwin Eko Erik Fadli Fahmi
Fajar Faisal Farhan Ferdi Firman Galih Gilang Guntur Hadi Hafiz Hamzah Hari Hasan Hendra Heru Ibnu Ilham Imam Indra Irfan
Irwan Iwan Jaka Jefri Joko Kevin Komang Kurnia Lukman Made Maulana Muhammad Mulyadi Nanang Nyoman Oki Putu Rahmat Rangga
Reza Rian Ridwan Rizal Rizki Roni Rudi Samsul Satria Slamet Sugeng Surya Taufik Teguh Tono Tri Ujang Wahyu Wawan Wayan Yanto
Yoga Yohanes Yudi Yusuf Zainal
"""

_WOMEN = """
Adinda Agustina Aisyah Amelia Ana Anggi Anggun Ani Anisa Aprilia Arum Astri Astuti Ayu Bella Bunga Cahya Cici Citra Desi
Devi Dewi Diah Dian Dina Dini Dwi Eka Elisa Elsa Endah Erna Esti Eva Fatimah Febri Fitri Fitria Gita Hani Hanifah Hesti Ida
Iis Ika Indah Indri Intan Irma Ismi Juli Kadek Kartika Ketut Komang Kurnia Laila Lestari Lia Lilis Lina Linda Lusi Made Maria
Maya Mega Meli Mira Mutia Nadia Nanda Nia Nina Ningsih Nita Novi Nur Nurul Pipit Puji Putri Putu Rahma Rani Ratna Reni Resti
Retno Rika Rina Rini Risa Riska Rosa Salma Santi Sari Septi Sinta Siska Siti Sri Suci Susi Tanti Tika Tina Tiara Tri Tuti
Ulfa Umi Vera Vina Wahyu Wati Widya Winda Wulan Yani Yanti Yuli Yuni Zahra
"""

_LAST_OF_BOTH = """
Abdullah Anggraini Batubara Fauzi Ginting Hakim Harahap Hasibuan Hidayah Kusuma Lubis Manurung Marpaung Matondang Nainggolan
Nasution Pakpahan Panjaitan Pane Pasaribu Pattiasina Pohan Purba Rambe Ritonga Rumbiak Sagala Sari Saragih Sembiring Siahaan
Silaban Silalahi Simamora Simanjuntak Simatupang Sinaga Siregar Sitepu Sitompul Situmorang Tambunan Tanjung Tarigan
Tobing Tumbelaka Wenda Wibowo Kogoya Lumban Mandagi Pangaribuan Rumagit Sirait Sihombing Tampubolon
"""

_LAST_OF_MEN = """
Adriansyah Ardiansyah Ariyanto Budiman Darmawan Effendi Febrian Firmansyah Gunawan Hakiki Halim Handoko Hardiansyah Hartono
Haryanto Hermawan Hidayat Irawan Iskandar Ismail Kurniawan Mahendra Maulana Mulyana Nugraha Nugroho Nurdin Permana Prabowo
Pranata Prasetya Prasetyo Pratama Prayoga Purnama Purnomo Putra Rahman Rahmadi Ramadhan Riyadi Rosadi Saputra Santosa
Santoso Setiadi Setiawan Subagyo Sudrajat Sugiarto Suharto Sulaiman Supriadi Supriyanto Suryadi Suryana Susanto Sutrisno
Syahputra Utama Wahyudi Wibisono Widodo Wijaya Wirawan Yulianto
"""

_LAST_OF_WOMEN = """
Agustin Amalia Andini Anggraeni Apriani Ariani Aryani Aulia Azizah Damayanti Dewi Fadilah Fauziah Febriani Febrianti Fitriani
Handayani Handini Haryati Hasanah Herawati Hidayati Indrawati Indriani Islamiah Khasanah Kurniasih Kurniawati Kusumawati
Lestari Mardiana Marlina Maulida Maharani Melati Mulyani Mulyati Ningrum Ningsih Nuraini Nurhayati Nurjanah Nurlaila
Oktaviani Pertiwi Permatasari Pratiwi Purnamasari Puspita Puspitasari Rahayu Rahmawati Ramadhani Rohmah Rosdiana Rosita
Safitri Setiawati Setyowati Solihah Suryani Susanti Susilawati Utami Wahyuni Wardani Widiastuti Wulandari Yulianti
Yuliana Zulaikha
"""

MEN = tuple(_MEN.split())
WOMEN = tuple(_WOMEN.split())
# Many Indonesians have one name only: about one in twelve of these.
LAST_OF_MEN = tuple((_LAST_OF_MEN + _LAST_OF_BOTH).split()) + ("",) * 10
LAST_OF_WOMEN = tuple((_LAST_OF_WOMEN + _LAST_OF_BOTH).split()) + ("",) * 10
